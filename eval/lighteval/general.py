"""ARC-c, GPQA-diamond and MMLU-Pro through lighteval: its documents, any of our samplers, its grader, our files.

Two phases, since lighteval's environment has none of our samplers: `write_documents` lets lighteval make the prompts
and stores them as benchmark files; `measure` has a sampler answer them and lighteval judge the answers. The scores
stand where and as those of every other benchmark do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from eval.arrow import array_of
from eval.benchmarks.registry import GROUPS
from eval.benchmarks.schema import Benchmark, Problem
from eval.evaluate import evaluate
from eval.frames import Evaluated
from eval.lighteval.environment import Environment
from eval.lighteval.export import CHOICES, file_of, problem_lines, shown_part
from eval.lighteval.run import HERE, TASKS, Said, call, score, work_folder
from eval.protocol import ProtocolRecord
from eval.suite import Asked, folder_of
from prefix_rft.errors import DataError, SettingsError
from prefix_rft.grading import Grade
from prefix_rft.runs.atomic import write_bytes, write_text

if TYPE_CHECKING:
    from eval.evaluate import Progress
    from eval.sampler import Sampler
    from prefix_rft.data.encode import Encoder
    from prefix_rft.settings.grading import Think

LETTERS: Mapping[str, str] = {"arc_c": "ABCDE", "gpqa_diamond": "ABCD", "mmlu_pro": "ABCDEFGHIJ"}
"""Letters that an answer may be, by benchmark: those of its longest questions."""


def write_documents(
    benchmarks: Sequence[Benchmark], out: Path, environment: Environment, source: Path | None = None
) -> list[Path]:
    """The first phase: lighteval's prompts of these benchmarks as benchmark files.

    Args:
        benchmarks: of the group `general`.
        out: folder for the files; the name of each is its benchmark's.
        environment: lighteval's.
        source: folder with local copies of the hub's repositories, one under each benchmark's name; None: the hub.

    Raises:
        SettingsError: a benchmark is not of multiple choice.
        DataError: `source` lacks one.
        LightevalError: lighteval ended with an error, e.g. as the data cannot be had.
    """
    _must_have_options(benchmarks)
    if source is not None:
        _must_hold(source, benchmarks)
    out.mkdir(parents=True, exist_ok=True)
    variables = {} if source is None else {"PREFIX_RFT_BENCHMARKS": str(source.resolve())}
    with work_folder() as place:
        names = [benchmark.name for benchmark in benchmarks]
        arguments = [str(HERE / "documents.py"), str(TASKS), str(place), *names]
        call(environment, arguments, place, variables, online=source is None)
        for benchmark in benchmarks:
            text = (place / f"{benchmark.name}.jsonl").read_text(encoding="utf-8")
            write_text(out / benchmark.file, text)
    return [out / benchmark.file for benchmark in benchmarks]


def measure(
    asked: Asked,
    sampler: Sampler,
    encoder: Encoder | None,
    folder: Path,
    environment: Environment,
    *,
    progress: Progress | None = None,
    again: str = "Run the same command again",
) -> Evaluated:
    """The second phase: evaluate on one benchmark of multiple choice, judged by lighteval.

    Everything else is as in `eval.suite.measure`: files, resumption, errors. `place` names the usual folder.

    Raises:
        SettingsError: the benchmark is not of multiple choice.
        LightevalError: lighteval ended with an error; the samples are kept.
    """
    _must_have_options([asked.loaded.benchmark])
    record = _record(asked, sampler, environment)
    letters = LETTERS[asked.loaded.benchmark.name]
    with LetterGrader(environment, letters, asked.protocol.grading.think) as grader:
        scores = evaluate(
            folder, asked.questions, asked.prompts(encoder), sampler, grader, record, asked.settings(record.name),
            asked.max_tokens, progress, again,
        )  # fmt: skip
    return Evaluated(folder, scores)


def place(asked: Asked, sampler: Sampler, root: Path, environment: Environment) -> Path:
    """As `eval.suite.place`: whatever changes the measurement changes the folder."""
    return folder_of(_record(asked, sampler, environment), root)


def _record(asked: Asked, sampler: Sampler, environment: Environment) -> ProtocolRecord:
    record = asked.record(asked.protocol.grading, sampler, asked.protocol.name)
    return record.model_copy(
        update={"grader": grader_version(environment), "extraction": ("gpqa_instruct_metric",)}
    )


def grader_version(environment: Environment) -> str:
    """The grader in a score's protocol line."""
    return f"lighteval {environment.version}, letters of options"


class LetterGrader:
    """lighteval's verdicts on (letter, response) pairs; every call starts lighteval once, which takes 20 s and more."""

    def __init__(self, environment: Environment, letters: str, think: Think = "whole") -> None:
        """Make a grader without starting a process.

        Args:
            environment: lighteval's.
            letters: what an answer may be.
            think: which part of a response is graded.
        """
        self.environment = environment
        self.version = grader_version(environment)
        self._letters = letters
        self._think = think

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays behind between calls."""

    def grade(self, pairs: Sequence[tuple[str, str]]) -> list[Grade]:
        """Grades of (right letter, response) pairs, in their order.

        Raises:
            LightevalError: lighteval ended with an error.
        """
        if not pairs:
            return []
        graded = [(gold, shown_part(response, self._think)) for gold, response in pairs]
        distinct = list(dict.fromkeys(graded))
        with work_folder() as place:
            said = self._ask(distinct, place)
        grade_of = {pair: _grade(said[str(index)]) for index, pair in enumerate(distinct)}
        return [grade_of[pair] for pair in graded]

    def _ask(self, pairs: Sequence[tuple[str, str]], place: Path) -> Mapping[str, Said]:
        options = "".join(f"{letter}. \n" for letter in self._letters)
        problems = [Problem(str(index), options, gold) for index, (gold, _) in enumerate(pairs)]
        write_text(place / file_of(CHOICES), problem_lines(problems))
        _write_samples(place / "samples.parquet", [response for _, response in pairs])
        variables = {
            "PREFIX_RFT_BENCHMARKS": str(place), "PREFIX_RFT_SAMPLES": str(place / "samples.parquet"),
            "PREFIX_RFT_PROTOCOL": "{}",
        }  # fmt: skip
        return score([CHOICES], self.environment, place, variables)[CHOICES].problems


def _grade(said: Said) -> Grade:
    answer = said.answers[0].split(" | ")[0]
    return Grade(said.verdicts[0], "ok" if answer else "no_answer", answer or None)


def _write_samples(path: Path, responses: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = len(responses)
    arrays = {
        "question_id": array_of([str(index) for index in range(rows)], "string"),
        "sample": array_of([0] * rows, "int32"),
        "response": array_of(responses, "string"),
    }
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), buffer)
    write_bytes(path, buffer.getvalue())


def _must_hold(source: Path, benchmarks: Sequence[Benchmark]) -> None:
    for benchmark in benchmarks:
        place, repository = source / benchmark.name, benchmark.hub.repository
        if not place.is_dir():
            raise DataError(
                f"there is no {place}, a copy of {repository}: `hf download {repository} --repo-type dataset "
                f"--local-dir {place}`"
            )


def _must_have_options(benchmarks: Sequence[Benchmark]) -> None:
    for benchmark in benchmarks:
        if benchmark.name not in LETTERS:
            raise SettingsError(
                f"{benchmark.title} has no options to choose from. Known: {', '.join(GROUPS['general'])}."
            )
