"""This project's benchmarks as lighteval custom tasks: avg@n and pass@k by lighteval's own graders.

    lighteval accelerate "model_name=..." "prefix_rft:aime24|0" --custom-tasks eval/lighteval_tasks.py

Usable in any environment that has lighteval 0.13; only lighteval and the standard library are imported. `prefix_rft|0`
asks for every task. docs/lighteval.md tells more. What a task cannot be told by lighteval comes from two variables:

PREFIX_RFT_BENCHMARKS: folder of benchmark files (rows with id, problem, answer), or of local copies of hub repositories
    under the task's name. Without it the hub's copies are read.
PREFIX_RFT_PROTOCOL: JSON with any of name, user, system, assistant_start, samples, pass_at, max_tokens, or a file with
    it (`python -m eval.lighteval.export luffy` writes one). Without it the protocol is `plain`.
"""

# mypy: disable-error-code="import-not-found"

# No `from __future__ import annotations`: lighteval runs this file under a name that is in no table of modules, and a
# dataclass with annotations as text would look for it there.
import hashlib
import json
import logging
import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from lighteval.metrics.metrics import Metrics
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc
from lighteval.tasks.tasks.gpqa import gpqa_instruct_prompt
from lighteval.tasks.tasks.mmlu_pro import mmlu_pro_prompt_function

PREFIX = "prefix_rft"
FOLDER_VARIABLE = "PREFIX_RFT_BENCHMARKS"
PROTOCOL_VARIABLE = "PREFIX_RFT_PROTOCOL"
_DOLLAR = re.compile(r"(?<!\\)\$")
_OPTION = re.compile(r"^([A-Z])[.):] ", re.MULTILINE)

Row = Mapping[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where a task's problems are, and how many samples papers take of each."""

    file: str
    """Local file in PREFIX_RFT_BENCHMARKS."""
    samples: int = 1
    repo: str | None = None
    """On the hub; None: a local file only."""
    split: str = "test"
    config: str | None = None
    revision: str | None = None
    id: str | None = None
    """Column with the problem's name; None counts the rows."""
    problem: str = "problem"
    answer: str = "answer"
    options: Callable[[Row, str], Doc] | None = None
    """For multiple choice: lighteval's document for a row in the hub's columns."""
    letters: bool = False
    """Whether the answer is the letter of an option."""


@dataclass(frozen=True)
class Protocol:
    """How a problem is asked and how often."""

    name: str = "plain"
    user: str = "{problem}\nPlease reason step by step, and put your final answer within \\boxed{}."
    system: str | None = None
    assistant_start: str = ""
    samples: Mapping[str, int] = field(default_factory=dict)
    """By task; `Source.samples` where a task is not named."""
    pass_at: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """The k of pass@k by task; 1 and the number of samples where a task is not named."""
    max_tokens: int = 8192


def _arc_document(row: Row, task: str) -> Doc:
    choices = row["choices"]
    right = choices["label"].index(row["answerKey"])
    return _mmlu_pro_document(
        {"question": row["question"], "options": choices["text"], "answer_index": right}, task
    )


def _gpqa_document(row: Row, task: str) -> Doc:
    """lighteval draws the place of the right option from the global generator; here it belongs to the question."""
    before = random.getstate()
    random.seed(hashlib.sha256(row["Question"].encode()).hexdigest())
    try:
        return gpqa_instruct_prompt(dict(row), task)
    finally:
        random.setstate(before)


def _mmlu_pro_document(row: Row, task: str) -> Doc:
    """lighteval speaks of ABCD and reads any letter, however many options there are; here both are the options'."""
    document = mmlu_pro_prompt_function(dict(row), task)
    letters = ascii_uppercase[: len(row["options"])]
    document.query = document.query.replace("one of ABCD", f"one of {letters}", 1)
    document.choices = list(letters)
    return document


SOURCES: dict[str, Source] = {
    "aime24": Source(
        "aime24.jsonl",
        32,
        "HuggingFaceH4/aime_2024",
        "train",
        None,
        "2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
        "id",
    ),
    "aime25": Source(
        "aime25.jsonl", 32, "math-ai/aime25", "test", None, "563bb8404243c5f09de6ec262f2db674fe5bce9b", "id"
    ),
    "amc": Source(
        "amc_83.jsonl",
        32,
        "AI-MO/aimo-validation-amc",
        "train",
        None,
        "69d78a4a2c840e82d69af6bc742bda09005f6316",
        "id",
    ),
    "amc23": Source(
        "amc23_40.jsonl",
        32,
        "math-ai/amc23",
        "test",
        None,
        "80815d37005feb82cd7f8fbc6901d5d3eff43057",
        "id",
        "question",
    ),
    "math500": Source(
        "math500.jsonl",
        1,
        "HuggingFaceH4/MATH-500",
        "test",
        None,
        "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        "unique_id",
    ),
    "minerva": Source("minerva_math.jsonl", 1, "math-ai/minervamath", problem="question"),
    "olympiad": Source(
        "olympiadbench_maths_en_675.jsonl",
        1,
        "Hothan/OlympiadBench",
        "train",
        "OE_TO_maths_en_COMP",
        "91184b52131e7fc9455fef848035173aea8cc01a",
        "id",
        "question",
        "final_answer",
    ),
    "arc_c": Source(
        "arc_c.jsonl",
        1,
        "allenai/ai2_arc",
        "test",
        "ARC-Challenge",
        "210d026faf9955653af8916fad021475a3f00453",
        "id",
        options=_arc_document,
        letters=True,
    ),
    "gpqa_diamond": Source(
        "gpqa_diamond.jsonl",
        1,
        "Idavidrein/gpqa",
        "train",
        "gpqa_diamond",
        id="Record ID",
        options=_gpqa_document,
        letters=True,
    ),
    "mmlu_pro": Source(
        "mmlu_pro.jsonl",
        1,
        "TIGER-Lab/MMLU-Pro",
        revision="b189ec765aa7ed75c8acfea42df31fdae71f97be",
        id="question_id",
        options=_mmlu_pro_document,
        letters=True,
    ),
    "problems": Source("problems.jsonl"),
    "choices": Source("choices.jsonl", letters=True),
}
"""As in eval/benchmarks/registry.py, which a test compares; `problems` and `choices` are anybody's own local files."""


class Recorded:
    """A grader of lighteval, asked once for each distinct response to a gold answer however many metrics want to know.

    lighteval keeps a problem's mean and no verdict. Here the verdicts stay with the document, in the order of the
    samples, and so do the answers that the grader read.
    """

    def __init__(self, grade: Callable[..., float]) -> None:
        self.__name__ = "recorded"  # lighteval prints metrics by the names of what they call
        self.grade = grade
        self.known: dict[tuple[tuple[str, ...], int, str], tuple[float, str]] = {}

    def __call__(self, doc: Doc, model_response: Any) -> float:
        """1.0 or 0.0."""
        key = (tuple(doc.get_golds()), len(doc.choices), model_response.final_text[0])
        if key not in self.known:
            self.known[key] = self._ask(doc, model_response)
        verdict, answer = self.known[key]
        if doc.specific and "problem_id" in doc.specific:
            doc.specific["verdicts"].append(verdict)
            doc.specific["answers"].append(answer)
        return verdict

    def _ask(self, doc: Doc, model_response: Any) -> tuple[float, str]:
        verdict = float(self.grade(doc=doc, model_response=model_response))
        specific = doc.specific or {}
        specific.pop("extracted_golds", None)
        return verdict, " | ".join(specific.pop("extracted_predictions", []))


def protocol() -> Protocol:
    """The protocol of PREFIX_RFT_PROTOCOL, or `plain`.

    Raises:
        ValueError: it is no JSON object, or has other keys than a protocol.
    """
    given = os.environ.get(PROTOCOL_VARIABLE, "").strip()
    if not given:
        return Protocol()
    values = json.loads(given if given.startswith("{") else Path(given).read_text(encoding="utf-8"))
    unknown = sorted(set(values) - set(Protocol.__dataclass_fields__))
    if unknown:
        known = ", ".join(Protocol.__dataclass_fields__)
        raise ValueError(
            f"{PROTOCOL_VARIABLE} has {', '.join(unknown)}, which no protocol has. Known: {known}."
        )
    asked = Protocol(**values)
    if asked.system or asked.assistant_start:
        log.warning(
            "A task cannot hand lighteval the system text or the beginning of responses of protocol %s: give the model "
            "system_prompt=... and a chat template that ends in them. (A replay needs neither.)",
            asked.name,
        )
    return asked


def task(name: str, source: Source, asked: Protocol) -> LightevalTaskConfig:
    """The task of one benchmark."""
    samples = asked.samples.get(name, source.samples)
    repo, config, revision, split, document = _place(name, source, asked)
    return LightevalTaskConfig(
        name=f"{PREFIX}:{name}",
        prompt_function=document,
        hf_repo=repo,
        hf_subset=config,
        hf_revision=revision,
        hf_avail_splits=[split],
        evaluation_splits=[split],
        few_shots_split=None,
        few_shots_select=None,
        generation_size=asked.max_tokens,
        stop_sequence=[],
        metrics=metrics(samples, asked.pass_at.get(name, sorted({1, samples})), letters=source.letters),
        version=1,
    )


def metrics(samples: int, pass_at: Sequence[int], *, letters: bool) -> list[Any]:
    """avg@n and each pass@k, all by one grader of lighteval: of formulas, or of option letters."""
    average = (Metrics.avg_at_n if letters else Metrics.avg_at_n_math)(sample_params={"n": samples})
    best = Metrics.gpqa_instruct_pass_at_k if letters else Metrics.pass_at_k_math
    passes = [best(sample_params={"k": k, "n": samples}) for k in pass_at]
    grade = Metrics.gpqa_instruct_metric.value.sample_level_fn.compute
    recorded = Recorded(grade if letters else average.sample_level_fn.compute_score)
    for metric in (average, *passes):
        metric.sample_level_fn.compute_score = recorded
    return [average, *passes]


def _place(
    name: str, source: Source, asked: Protocol
) -> tuple[str, str | None, str | None, str, Callable[[Row, str], Doc]]:
    """Repository or folder, configuration, revision, split, and what makes a document of a row."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        folder = Path(named)
        if not folder.is_dir():
            raise FileNotFoundError(f"{FOLDER_VARIABLE} names {named}, which is no folder")
        if (folder / source.file).is_file() or source.repo is None or not (folder / name).is_dir():
            return _staged(name, folder / source.file), None, None, "test", _local(source, asked)
        return str(folder / name), source.config, None, source.split, _published(name, source, asked)
    return (
        source.repo or f"{source.file}: set {FOLDER_VARIABLE}",
        source.config,
        source.revision,
        source.split,
        _published(name, source, asked),
    )


def _staged(name: str, path: Path) -> str:
    """A folder of its own with the columns that every row has; lighteval reads whole folders, in one schema.

    It lies in Hugging Face's cache under the file's digest. A file that is not there is named by lighteval's error when
    its task is asked for.
    """
    if not path.is_file():
        return str(path)
    content = "".join(json.dumps(row) + "\n" for row in _rows(path))
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    folder = home / f"{PREFIX}_benchmarks" / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    if not (folder / "test.jsonl").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        whole = folder / f".{os.getpid()}"
        whole.write_text(content, encoding="utf-8")
        whole.replace(folder / "test.jsonl")
    return str(folder)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row = json.loads(line)
            missing = [key for key in ("id", "problem", "answer") if key not in row]
            if missing:
                raise ValueError(f"{path}, row {number}: no {', '.join(missing)}")
            options = row.get("options", (row.get("meta") or {}).get("options"))
            texts = {key: str(row[key]) for key in ("id", "problem", "answer")}
            yield texts | {"options": options if isinstance(options, int) else 0}


def _local(source: Source, asked: Protocol) -> Callable[[Row, str], Doc]:
    def document(row: Row, task_name: str) -> Doc:
        query = asked.user.replace("{problem}", row["problem"])
        if source.letters:
            letters = _letters(row)
            return _document(task_name, query, list(letters), letters.index(row["answer"]), row["id"])
        return _document(task_name, query, [gold(row["answer"])], 0, row["id"])

    return document


def _published(name: str, source: Source, asked: Protocol) -> Callable[[Row, str], Doc]:
    def document(row: Row, task_name: str) -> Doc:
        number = row["__index"] if source.id is None else row[source.id]
        if source.options is not None:
            made = source.options(row, task_name)
            return _document(task_name, made.query, list(made.choices), made.gold_index, f"{name}-{number}")
        answer = row[source.answer]
        text = str(answer[0] if isinstance(answer, list) else answer)
        query = asked.user.replace("{problem}", row[source.problem])
        return _document(task_name, query, [gold(text)], 0, f"{name}-{number}")

    return document


def _document(task_name: str, query: str, choices: list[str], right: int, problem: str) -> Doc:
    specific: dict[str, Any] = {"problem_id": problem, "verdicts": [], "answers": []}
    return Doc(task_name=task_name, query=query, choices=choices, gold_index=right, specific=specific)


def gold(answer: str) -> str:
    """The gold answer as one formula between dollars: lighteval's grader reads little else, and few golds have them."""
    return f"${_DOLLAR.sub('', answer)}$"


def _letters(row: Row) -> str:
    """Letters of the options: as many as the row says, else of the last lines that begin `A. `, `B. ` (or `)`, `:`).

    Raises:
        ValueError: there are fewer than two, or the answer is none of them.
    """
    letters = ascii_uppercase[: row["options"] or _count_options(row["problem"])]
    if len(letters) < 2 or row["answer"] not in letters:
        raise ValueError(
            f"problem {row['id']!r} has the options {letters or 'of no line'} and the answer {row['answer']!r}; write "
            "every option on a line of its own (A. ..., B. ...), and the letter of the right one as answer"
        )
    return letters


def _count_options(problem: str) -> int:
    found = "".join(_OPTION.findall(problem))
    last = found[max(found.rfind("A"), 0) :]
    return next((place for place, letter in enumerate(last) if letter != ascii_uppercase[place]), len(last))


def _offered(source: Source) -> bool:
    """Whether there is something to read: the hub, or the file of somebody's own problems."""
    return source.repo is not None or (Path(os.environ.get(FOLDER_VARIABLE) or ".") / source.file).is_file()


TASKS_TABLE = [task(name, source, protocol()) for name, source in SOURCES.items() if _offered(source)]
