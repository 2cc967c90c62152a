"""The file of custom tasks without lighteval: what it imports, what it knows, how it reads files and protocols."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from eval.benchmarks.registry import BENCHMARKS
from eval.lighteval.export import protocol_json
from eval.lighteval.run import HERE, TASKS
from eval.protocols.catalogue import PROTOCOLS

NAMES = {
    "lighteval.metrics.metrics": {"Metrics": MagicMock()},
    "lighteval.tasks.lighteval_task": {"LightevalTaskConfig": SimpleNamespace},
    "lighteval.tasks.requests": {"Doc": SimpleNamespace},
    "lighteval.tasks.tasks.gpqa": {"gpqa_instruct_prompt": MagicMock()},
    "lighteval.tasks.tasks.mmlu_pro": {"mmlu_pro_prompt_function": MagicMock()},
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the file as lighteval does, with stand-ins for lighteval."""
    for name in ("PREFIX_RFT_BENCHMARKS", "PREFIX_RFT_PROTOCOL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    for name, content in NAMES.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)

    def run(**variables: str) -> SimpleNamespace:
        for name, value in variables.items():
            monkeypatch.setenv(f"PREFIX_RFT_{name}", value)
        space: dict[str, Any] = {"__name__": "lighteval_tasks", "__file__": str(TASKS)}
        exec(compile(TASKS.read_text(), TASKS, "exec", dont_inherit=True), space)
        return SimpleNamespace(**space)

    return run


def write(folder: Path, name: str, *rows: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def named(module: SimpleNamespace) -> dict[str, Any]:
    return {task.name.removeprefix("prefix_rft:"): task for task in module.TASKS_TABLE}


@pytest.mark.parametrize(
    ("file", "others"),
    [
        (TASKS, set()),
        (HERE / "host.py", set()),
        (HERE / "documents.py", set()),
        (HERE / "replay.py", {"pyarrow"}),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_what_runs_over_there_imports_nothing_of_ours(file, others):
    nodes = list(ast.walk(ast.parse(file.read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    foreign = {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names)
    assert foreign == {"lighteval"} | others


def test_the_table_is_that_of_the_registry(load):
    sources = {name: source for name, source in load().SOURCES.items() if source.repo is not None}
    assert sources.keys() == BENCHMARKS.keys()
    for name, benchmark in BENCHMARKS.items():
        source, hub = sources[name], benchmark.hub
        here = (
            source.file,
            source.samples,
            source.repo,
            source.split,
            source.config,
            source.revision,
            source.id,
        )
        assert here == (
            benchmark.file, benchmark.samples, hub.repository, hub.split, hub.config, hub.revision, hub.id,
        )  # fmt: skip
        assert (source.problem, source.answer) == (hub.problem, hub.answer)
        assert source.letters == (benchmark.answer == "choice")
        assert (source.options is None) == (hub.choices is None)


def test_without_a_folder_the_hub_is_read(load):
    tasks = named(load())
    assert tasks.keys() == BENCHMARKS.keys()
    assert tasks["olympiad"].hf_repo == "Hothan/OlympiadBench"
    assert tasks["olympiad"].hf_subset == "OE_TO_maths_en_COMP"
    assert tasks["aime24"].generation_size == 8192


def test_a_local_file_is_staged_alone_with_the_columns_that_every_row_has(load, tmp_path):
    folder = write(
        tmp_path / "b",
        "aime24.jsonl",
        {"id": "a-0", "problem": "1 + 1?", "answer": 2, "meta": {"year": 1}},
        {"id": "a-1", "problem": "2 + 2?", "answer": "4", "solution": "count"},
    )
    task = named(load(BENCHMARKS=str(folder)))["aime24"]
    staged = Path(task.hf_repo) / "test.jsonl"
    assert staged.is_relative_to(tmp_path / "hub")
    rows = [json.loads(line) for line in staged.read_text().splitlines()]
    assert rows[0] == {"id": "a-0", "problem": "1 + 1?", "answer": "2", "options": 0}
    document = task.prompt_function(rows[1], "prefix_rft:aime24|0")
    assert document.query == "2 + 2?\nPlease reason step by step, and put your final answer within \\boxed{}."
    assert (document.choices, document.gold_index) == (["$4$"], 0)
    assert document.specific == {"problem_id": "a-1", "verdicts": [], "answers": []}


def test_a_changed_file_is_staged_elsewhere(load, tmp_path):
    row = {"id": "a", "problem": "?", "answer": "2"}
    folder = write(tmp_path / "b", "aime24.jsonl", row)
    before = named(load(BENCHMARKS=str(folder)))["aime24"].hf_repo
    write(folder, "aime24.jsonl", row | {"answer": "3"})
    assert named(load(BENCHMARKS=str(folder)))["aime24"].hf_repo != before


def test_a_file_that_is_missing_is_named_by_its_task_alone(load, tmp_path):
    tasks = named(load(BENCHMARKS=str(write(tmp_path / "b", "problems.jsonl"))))
    assert tasks["aime25"].hf_repo == str(tmp_path / "b/aime25.jsonl")
    assert "problems" in tasks
    assert "choices" not in tasks
    with pytest.raises(FileNotFoundError, match="names nowhere, which is no folder"):
        load(BENCHMARKS="nowhere")


def test_a_row_without_an_answer_is_named(load, tmp_path):
    folder = write(tmp_path / "b", "amc_83.jsonl", {"id": "a", "problem": "?"})
    with pytest.raises(ValueError, match=r"amc_83\.jsonl, row 1: no answer"):
        load(BENCHMARKS=str(folder))


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("7", "$7$"), ("$7$", "$7$"), ("\\$36", "$\\$36$"), ("$221,$8$", "$221,8$"), ("$x$ or $y$", "$x or y$")],
)
def test_a_gold_answer_becomes_one_formula(load, answer, gold):
    assert load().gold(answer) == gold


@pytest.mark.parametrize(
    ("row", "letters"),
    [
        ({"problem": "Which?\nA. a\nB. b\nC. c", "answer": "C", "options": 0}, "ABC"),
        ({"problem": "E. coli?\nA) a\nB) b", "answer": "B", "options": 0}, "AB"),
        (
            {
                "problem": "A: statement\nof B: that.\nA: a\nB: b\nC: c\n\nAnswer:",
                "answer": "A",
                "options": 0,
            },
            "ABC",
        ),
        ({"problem": "Which?", "answer": "D", "options": 4}, "ABCD"),
    ],
)
def test_letters_of_options(load, row, letters):
    assert load()._letters(row | {"id": "q"}) == letters


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "Which?", "answer": "A", "options": 0},
        {"problem": "?\nA. a\nB. b", "answer": "C", "options": 0},
    ],
)
def test_options_that_cannot_be_are_refused(load, row):
    with pytest.raises(ValueError, match="problem 'q' has the options"):
        load()._letters(row | {"id": "q"})


def test_a_protocol_as_text_and_as_file(load, tmp_path):
    text = '{"name": "mine", "user": "Solve {problem}", "samples": {"amc": 2}, "max_tokens": 64}'
    (tmp_path / "p.json").write_text(text)
    for given in (text, str(tmp_path / "p.json")):
        protocol = load(PROTOCOL=given).protocol()
        assert (protocol.name, protocol.user, protocol.samples) == ("mine", "Solve {problem}", {"amc": 2})


def test_without_one_it_is_the_plain_protocol(load):
    ours, theirs = PROTOCOLS["plain"], load().protocol()
    fields = ("name", "user", "system", "assistant_start", "max_tokens")
    assert [getattr(theirs, field) for field in fields] == [getattr(ours, field) for field in fields]


def test_a_named_protocol_is_read_as_it_was_written(load):
    read = load(PROTOCOL=protocol_json(PROTOCOLS["luffy"])).protocol()
    assert (read.name, read.system, read.samples["amc"]) == ("luffy", PROTOCOLS["luffy"].system, 32)


def test_an_unknown_part_of_a_protocol_is_refused(load):
    with pytest.raises(ValueError, match=r"has temperature, which no protocol has\. Known: name, user"):
        load(PROTOCOL='{"temperature": 1}')


def test_what_a_task_cannot_say_is_warned_of(load, caplog):
    load(PROTOCOL='{"system": "Be brief."}')
    assert "give the model system_prompt=" in caplog.text


def test_a_grader_is_asked_once_for_a_response_and_its_verdicts_stay(load):
    module, asked = load(), []

    def grade(doc, model_response):
        asked.append(model_response.final_text[0])
        doc.specific = (doc.specific or {}) | {
            "extracted_predictions": ["7", "7.0"],
            "extracted_golds": ["7"],
        }
        return float(model_response.final_text[0] == "7")

    def document(gold):
        specific = {"problem_id": "p", "verdicts": [], "answers": []}
        return SimpleNamespace(get_golds=lambda: [gold], choices=[gold], specific=specific)

    recorded, doc = module.Recorded(grade), document("7")
    for text in ("7", "8", "7"):
        recorded(doc, SimpleNamespace(final_text=[text]))
    recorded(document("8"), SimpleNamespace(final_text=["7"]))
    recorded(
        SimpleNamespace(get_golds=lambda: ["7"], choices=["7"], specific=None),
        SimpleNamespace(final_text=["8"]),
    )
    assert asked == ["7", "8", "7"]
    assert doc.specific == {"problem_id": "p", "verdicts": [1.0, 0.0, 1.0], "answers": ["7 | 7.0"] * 3}
