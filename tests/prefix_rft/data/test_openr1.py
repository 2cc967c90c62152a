"""Rows in the exact layout of Elliott/Openr1-Math-46k-8192, judged; and the file that comes of them."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefix_rft.data import Encoder, Message, load, load_encoder
from prefix_rft.data.encode import encode_questions
from prefix_rft.data.openr1 import Judge
from prefix_rft.data.preparation import (
    Report,
    different,
    done_before,
    lengths,
    prepare,
    report_path,
    what_is_asked,
)
from prefix_rft.data.published import published
from prefix_rft.data.scratch import train_scratch_tokenizer
from prefix_rft.errors import DataError
from prefix_rft.grading import Grader, make_grader
from prefix_rft.settings import GradingSettings, HubData, JsonlData, parse
from prefix_rft.settings.preparation import PreparationRules

TURN = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", TURN),
        ("target", TURN),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("ground_truth", pa.string()), ("style", pa.string())])),
        ("extra_info", pa.struct([("index", pa.int64()), ("split", pa.string())])),
        ("__index_level_0__", pa.int64()),
    ]
)
COLUMNS = {"question": "prompt", "demonstration": "demonstrations", "correctness": "correct"}
"""As experiments/conf/data/openr1_prepared.yaml names them."""

Row = dict[str, Any]


def row(index: int, answer: str = "4", text: str | None = None, **changes: Any) -> Row:
    """A row whose demonstration ends in `answer`; `text` stands in its place."""
    thought = f"<think>\nHm.\n</think>\nIt is \\boxed{{{answer}}}." if text is None else text
    return {
        "data_source": "",
        "prompt": [
            {"content": "Think first.", "role": "system"},
            {"content": f"What is {index} - {index - 4}?", "role": "user"},
        ],
        "target": [{"content": thought, "role": "assistant"}],
        "ability": "math",
        "reward_model": {"ground_truth": "4", "style": "rule"},
        "extra_info": {"index": index, "split": "default"},
        "__index_level_0__": index,
        **changes,
    }


def asking(index: int, question: str, **changes: Any) -> Row:
    """A row with this question."""
    return row(index, prompt=[{"content": question, "role": "user"}], **changes)


NULL = row(1, target=None)
WRONG = row(2, "5")
SILENT = row(3, text="<think>\nHm.")
LONG = row(4, text="word " * 200 + "\\boxed{4}")
LONG_PROMPT = asking(5, "Why? " * 200)
UNICODE = asking(6, "Что такое 2 + 2? — \u2028 √16, 四\U0001f600", text="√16 = \\boxed{4} 四\u2028")
EMPTY_GOLD = row(7, reward_model={"ground_truth": " ", "style": "rule"})
AGAIN = asking(8, "What is 10 - 6?", reward_model={"ground_truth": "6", "style": "rule"})
FINE = row(10)
ALL = [NULL, WRONG, SILENT, LONG, LONG_PROMPT, UNICODE, EMPTY_GOLD, FINE, AGAIN]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_scratch_tokenizer(["What is 2 - 1? It is word. Why?"] * 3, 290, folder)
    return load_encoder(folder)


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with make_grader(GradingSettings(verifier="exact")) as made:
        yield made


Judging = Callable[..., tuple[list[Row], dict[str, list[tuple[int, bool]]]]]


@pytest.fixture
def judged(encoder: Encoder, grader: Grader) -> Judging:
    """Judge rows: the output's rows, and for every kind of finding its rows and whether they were kept."""

    def judge(rows: Sequence[Row], rules: dict[str, str] | None = None, **data: Any) -> Any:
        judge = make_judge(encoder, grader, rules, **data)
        lines = judge.batch(list(enumerate(rows, start=1)))
        found: dict[str, list[tuple[int, bool]]] = {}
        for item in judge.judged.found:
            found.setdefault(item.kind, []).append((item.row, item.kept))
        return lines, found

    return judge


def settings(**data: Any) -> HubData:
    budgets = {"max_prompt_tokens": 150, "max_response_tokens": 100, **data}
    return parse(HubData, {"repository": "owner/name", **budgets})


def make_judge(encoder: Encoder, grader: Grader, rules: dict[str, str] | None = None, **data: Any) -> Judge:
    return Judge(settings(**data), parse(PreparationRules, dict(rules or {})), encoder, grader)


def test_every_kind_is_found_and_what_can_train_is_kept(judged: Judging) -> None:
    lines, found = judged(ALL)
    assert found == {
        "no target": [(1, True)],
        "wrong demonstration": [(2, True), (3, True), (9, True)],
        "long demonstration": [(4, False)],
        "long prompt": [(5, False)],
        "bad row": [(7, False)],
        "repeated question": [(9, True)],
        "other answer": [(9, True)],
    }
    assert {line["id"]: line["correct"] for line in lines} == {
        "default-1": [],
        "default-2": [False],
        "default-3": [False],
        "default-4": [],
        "default-6": [True],
        "default-10": [True],
        "default-8": [False],
    }


@pytest.mark.parametrize(
    ("rules", "ids", "taught"),
    [
        ({}, [1, 2, 3, 4, 6, 10, 8], 5),
        ({"wrong_demonstration": "drop"}, [1, 2, 3, 4, 6, 10, 8], 2),
        ({"no_demonstration": "drop"}, [2, 3, 6, 10, 8], 5),
        ({"no_demonstration": "drop", "wrong_demonstration": "drop"}, [6, 10], 2),
        ({"long_demonstration": "drop_question"}, [1, 2, 3, 6, 10, 8], 5),
        ({"repeated_question": "drop"}, [1, 2, 3, 4, 6, 10], 4),
    ],
    ids=str,
)
def test_rules(judged: Judging, rules: dict[str, str], ids: list[int], taught: int) -> None:
    lines, found = judged(ALL, rules)
    assert [line["id"] for line in lines] == [f"default-{index}" for index in ids]
    assert sum(len(line["demonstrations"]) for line in lines) == taught
    assert "wrong demonstration" in found, "it is listed whatever the rule"


def test_a_question_that_loses_its_only_demonstration_says_so(judged: Judging) -> None:
    _, found = judged(ALL, {"no_demonstration": "drop", "wrong_demonstration": "drop"})
    assert found["no target"] == [(1, False)]
    assert found["no demonstration left"] == [(2, False), (3, False), (4, False), (9, False)]


def test_what_a_finding_says(encoder: Encoder, grader: Grader) -> None:
    judge = make_judge(encoder, grader)
    judge.batch([(1, WRONG), (2, SILENT), (3, LONG_PROMPT), (4, FINE), (5, AGAIN), (6, EMPTY_GOLD)])
    said = [(item.kind, item.id, item.reason) for item in judge.judged.found]
    assert ("wrong demonstration", "default-2", "answer '5', gold '4'") in said
    assert ("wrong demonstration", "default-3", "no answer found, gold '4'") in said
    assert ("repeated question", "default-8", "the question of default-10") in said
    assert ("other answer", "default-8", "'6', but '4' for the same question in default-10") in said
    assert ("bad row", "", "field 'reward_model.ground_truth': it is empty") in said
    (long,) = [reason for kind, _, reason in said if kind == "long prompt"]
    assert long.endswith("data.max_prompt_tokens=150")


def test_lengths_are_those_of_training(judged: Judging, encoder: Encoder) -> None:
    (line,), _ = judged([FINE])
    prompt, text = line["prompt"], line["demonstrations"][0]
    assert [message["role"] for message in prompt] == ["system", "user"]
    assert line["demonstration_tokens"] == [len(encoder.encode_response(text))]
    assert line["prompt_tokens"] == len(encoder.encode_prompt([Message(**message) for message in prompt]))
    last = line["demonstration_tokens"][0]
    assert judged([FINE], max_response_tokens=last)[0][0]["correct"] == [True]
    assert judged([FINE], max_response_tokens=last - 1)[1] == {"long demonstration": [(1, False)]}


def test_a_prompt_that_opens_the_thought_shortens_the_demonstration(
    encoder: Encoder, grader: Grader, tmp_path: Path
) -> None:
    encoder.save(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages[-1]['content'] + '\\n<think>\\n' }}")
    opened = make_judge(load_encoder(tmp_path), grader).batch([(1, FINE)])[0]
    closed = make_judge(encoder, grader).batch([(1, FINE)])[0]
    cut = len(encoder.encode_response("<think>\n")) - 1
    assert closed["demonstration_tokens"][0] - opened["demonstration_tokens"][0] == cut
    assert opened["demonstrations"] == closed["demonstrations"], (
        "the text is cut where it is encoded, not here"
    )


def test_odd_types_cost_their_row_alone(judged: Judging) -> None:
    odd = [
        row(1, target=[]),
        row(2, target=[{"content": "x", "role": "user"}]),
        row(3, target="It is \\boxed{4}."),
        row(4, reward_model={"ground_truth": 4.0, "style": "rule"}),
        row(5, reward_model=None),
        row(6, prompt=None),
        row(7, prompt="What is 2 + 2?"),
        row(8, extra_info=None),
        row(9, extra_info={"index": 3, "split": "default"}),
        row(11, text="half \ud800 a pair"),
    ]
    lines, found = judged(odd)
    assert [line["id"] for line in lines] == ["default-3", "default-4", "default-7", "row-8"]
    assert [line["answer"] for line in lines] == ["4"] * 4
    assert [number for number, _ in found["bad row"]] == [1, 2, 5, 6, 9, 10]


def test_several_targets_are_judged_one_by_one(judged: Judging) -> None:
    more = [[{"content": f"\\boxed{{{answer}}}", "role": "assistant"}] for answer in ("4", "7")]
    long = [{"content": "word " * 200, "role": "assistant"}]
    lines, found = judged([row(1, target=None, target_lst=[*more, long])], {"wrong_demonstration": "drop"})
    assert (lines[0]["demonstrations"], lines[0]["correct"]) == (["\\boxed{4}"], [True])
    assert found == {"wrong demonstration": [(1, False)], "long demonstration": [(1, False)]}


def test_a_verdict_at_a_limit_is_no_verdict(encoder: Encoder) -> None:
    from prefix_rft.grading.verdict import Grade

    class Slow(Grader):
        def grade(self, pairs: Any, progress: Any = None) -> list[Grade]:
            return [Grade(correct=False, status="timeout", extracted="5") for _ in pairs]

    judge = make_judge(encoder, Slow(GradingSettings(verifier="exact")), {"wrong_demonstration": "drop"})
    (line,) = judge.batch([(1, FINE)])
    assert line["correct"] == [None]
    (found,) = judge.judged.found
    assert (found.kind, found.reason) == ("undecided demonstration", "answer '5', timeout, gold '4'")


def test_judging_does_not_depend_on_the_batches(encoder: Encoder, grader: Grader) -> None:
    numbered = list(enumerate(ALL, start=1))
    whole, parts = make_judge(encoder, grader), make_judge(encoder, grader)
    lines = [line for item in numbered for line in parts.batch([item])]
    assert lines == whole.batch(numbered)
    by_row = sorted(parts.judged.found, key=lambda item: (item.row, item.kind))
    assert by_row == sorted(whole.judged.found, key=lambda item: (item.row, item.kind))
    assert whole.judged.counts == parts.judged.counts


# The file.


@pytest.fixture
def make(encoder: Encoder, grader: Grader, tmp_path: Path) -> Callable[..., Report]:
    """Prepare a file; `out` is out.jsonl."""

    def prepared(file: Path, rules: dict[str, str] | None = None, **data: Any) -> Report:
        whole, sorting = settings(**data), parse(PreparationRules, dict(rules or {}))
        source = published(whole, file)
        asked = what_is_asked(source, whole, sorting, tokenizer="t", template="tokenizer", grader="g")
        out = tmp_path / "out.jsonl"
        return done_before(out, asked) or prepare(
            source, Judge(whole, sorting, encoder, grader), out, asked, whole.limit, lambda done: None
        )

    return prepared


def parquet_file(path: Path, rows: Sequence[Row]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), path)
    return path


def jsonl_file(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(out: Path, **changes: Any) -> JsonlData:
    held = {
        "validation_questions": 0,
        "test_questions": 0,
        "max_response_tokens": 100,
        "max_prompt_tokens": 150,
    }
    return parse(JsonlData, {"path": str(out), "columns": COLUMNS, **held, **changes})


def test_parquet_and_jsonl_of_one_schema_give_the_same_bytes(make: Any, tmp_path: Path) -> None:
    first = make(parquet_file(tmp_path / "in.parquet", ALL))
    (tmp_path / "out.jsonl").unlink()
    second = make(jsonl_file(tmp_path / "in.jsonl", ALL))
    assert first["output"] == second["output"]
    assert first["counts"] == second["counts"]
    assert (first["rows"], first["questions"], first["demonstrations"], first["correct"]) == (9, 7, 5, 2)


def test_the_output_trains(make: Any, encoder: Encoder, tmp_path: Path) -> None:
    """Every question and demonstration passes the encoder of training with nothing left out."""
    report = make(parquet_file(tmp_path / "in.parquet", ALL))
    whole = read(tmp_path / "out.jsonl")
    dataset = load(whole)
    encoded = encode_questions(dataset.train, encoder, whole)
    assert (dataset.skipped, encoded.skipped) == ((), ())
    assert len(encoded.questions) == report["questions"]
    assert sum(item.demonstration is not None for item in encoded.questions) == report["demonstrations"]
    (unicode,) = [item for item in dataset.train if item.id == "default-6"]
    assert (unicode.text, unicode.demonstrations[0].text) == (
        UNICODE["prompt"][0]["content"],
        UNICODE["target"][0]["content"],
    )


def test_the_report_adds_up(make: Any, tmp_path: Path) -> None:
    report = make(parquet_file(tmp_path / "in.parquet", ALL))
    assert json.loads(report_path(tmp_path / "out.jsonl").read_text()) == report
    assert report_path(tmp_path / "out.jsonl").name == "out.report.json"
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert report["tokens"]["prompt"]["longest"] == max(line["prompt_tokens"] for line in lines)
    gone = {item["row"] for item in report["found"] if item["kind"] in ("bad row", "long prompt")}
    assert report["rows"] - len(gone) == report["questions"] == len(lines)
    assert sum(report["counts"].values()) == len(report["found"])


def test_preparing_again_reads_nothing_and_changes_nothing(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = parquet_file(tmp_path / "in.parquet", ALL)
    first = make(file)
    before = (tmp_path / "out.jsonl").stat().st_mtime_ns
    monkeypatch.setattr(Judge, "batch", None)
    assert make(file) == first
    assert (tmp_path / "out.jsonl").stat().st_mtime_ns == before


def test_another_result_is_not_overwritten(make: Any, tmp_path: Path) -> None:
    file, out = parquet_file(tmp_path / "in.parquet", ALL), tmp_path / "out.jsonl"
    make(file)
    with pytest.raises(DataError, match=r'rules\.wrong_demonstration: "keep" then, "drop" now.*--force'):
        make(file, {"wrong_demonstration": "drop"})
    with pytest.raises(DataError, match=r"data\.max_prompt_tokens: 150 then, 140 now"):
        make(file, max_prompt_tokens=140)
    with pytest.raises(DataError, match="source: "):
        make(parquet_file(tmp_path / "other.parquet", ALL[:3]))
    out.write_bytes(out.read_bytes() + b"\n")
    with pytest.raises(DataError, match="changed after it was prepared"):
        make(file)
    report_path(out).unlink()
    with pytest.raises(DataError, match=r"with no report out\.report\.json"):
        make(file)


def test_nothing_usable_leaves_no_file(make: Any, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no usable row among 2\. The first that goes: row 1, bad row: field"
    ):
        make(parquet_file(tmp_path / "in.parquet", [EMPTY_GOLD, EMPTY_GOLD]))
    with pytest.raises(DataError, match="has no rows"):
        make(jsonl_file(tmp_path / "in.jsonl", []))
    assert {item.name for item in tmp_path.iterdir()} == {"in.parquet", "in.jsonl"}


def test_stopped_in_the_middle_it_leaves_what_was_there(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = parquet_file(tmp_path / "in.parquet", [row(index) for index in range(600)])
    judge_batch = Judge.batch

    def stop_at_the_second(self: Judge, rows: Any) -> Any:
        if self.judged.rows:
            raise KeyboardInterrupt
        return judge_batch(self, rows)

    monkeypatch.setattr(Judge, "batch", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        make(file)
    assert [item.name for item in tmp_path.iterdir()] == ["in.parquet"]


def test_memory_does_not_grow_with_the_file(encoder: Encoder, grader: Grader, tmp_path: Path) -> None:
    """2000 rows of 5 kB are 10 MB of text; at no time are more than a few batches of 256 in memory."""
    text = "It is \\boxed{4}. " + "x" * 5000
    whole = settings(max_response_tokens=8192)
    file = jsonl_file(tmp_path / "in.jsonl", [row(index, text=text) for index in range(2000)])
    judge = Judge(whole, PreparationRules(), _Short(encoder), grader)
    tracemalloc.start()
    prepare(published(whole, file), judge, tmp_path / "out.jsonl", {}, None, lambda done: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "out.jsonl").stat().st_size > 10_000_000
    assert peak < 8_000_000


class _Short:
    """An encoder that gives a few tokens at once, so that memory is that of texts alone."""

    def __init__(self, encoder: Encoder) -> None:
        self.eos_id = encoder.eos_id

    def render(self, messages: Any) -> str:
        return ""

    def encode_prompt(self, messages: Any) -> list[int]:
        return [5]

    def encode_responses(self, texts: Sequence[str]) -> list[list[int]]:
        return [[5, self.eos_id] for _ in texts]


def test_limit_reads_the_first_rows_only(make: Any, tmp_path: Path) -> None:
    report = make(parquet_file(tmp_path / "in.parquet", ALL), limit=2)
    assert (report["rows"], report["questions"]) == (2, 2)


def test_sources_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub.constants

    (tmp_path / "in.csv").write_text("a,b\n")
    with pytest.raises(
        DataError, match=r"in\.csv ends in \.csv; a file in LUFFY's layout is \.parquet or \.jsonl"
    ):
        published(settings(), tmp_path / "in.csv")
    with pytest.raises(DataError, match="there is no file"):
        published(settings(), tmp_path / "in.parquet")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    with pytest.raises(
        DataError, match=r"cannot be had.*(?s:.*)`prefix-rft prepare-data openr1 --file <file>`"
    ):
        next(published(settings(), None).rows())


def test_the_hub_and_its_file_give_the_same_questions(
    encoder: Encoder, grader: Grader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "repository").mkdir()
    file = parquet_file(tmp_path / "repository" / "train.parquet", ALL)
    local = settings(repository=str(tmp_path / "repository"))
    hub = list(published(local, None).rows())
    assert make_judge(encoder, grader).batch(hub) == make_judge(encoder, grader).batch(
        list(published(local, file).rows())
    )


def test_lengths_by_hand() -> None:
    assert lengths([]) == {}
    assert lengths([3, 1, 2]) == {"mean": 2.0, "median": 2, "p95": 3, "longest": 3}
    assert lengths(range(1, 101))["p95"] == 95


def test_differences_are_named() -> None:
    assert different({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": "x"}) == [
        "a.c: 2 then, 3 now",
        'd: null then, "x" now',
    ]
    assert different({"a": 1}, {"a": 1}) == []


def test_real_rows_of_luffys_validation_file(encoder: Encoder, grader: Grader, shared_data: Path) -> None:
    file = shared_data / "schema" / "luffy_valid_all_6rows.jsonl"
    judge = make_judge(encoder, grader, max_prompt_tokens=100_000)
    lines = judge.batch(list(published(settings(), file).rows()))
    system = (shared_data / "schema" / "luffy_system_prompt.txt").read_text(encoding="utf-8")
    assert len(lines) == 6
    assert {line["prompt"][0]["content"] for line in lines} == {system}
    assert judge.judged.counts["no target"] == 6
