"""What lighteval reads of an evaluation: problems with gold answers, the graded part of responses, and the protocol.

    python -m eval.lighteval.export luffy [model family] > protocol.json

writes a named protocol as PREFIX_RFT_PROTOCOL of eval/lighteval_tasks.py takes it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eval.arrow import array_of
from eval.benchmarks.registry import BENCHMARKS
from eval.benchmarks.schema import Problem
from eval.protocols.catalogue import find
from eval.protocols.schema import EvaluationProtocol
from eval.results import Scores, read_scores
from eval.samples import SAMPLES, read_table, samples_path
from prefix_rft.errors import DataError
from prefix_rft.grading.extract import graded_part
from prefix_rft.runs.atomic import write_bytes, write_text

if TYPE_CHECKING:
    from prefix_rft.settings.grading import Think

PROBLEMS, CHOICES = "problems", "choices"
"""Tasks for problems that are no benchmark: with formulas as answers, and with letters of options."""
_OPTIONS = re.compile(r"^A[.):] .*^B[.):] ", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation and the problems that it is about."""

    folder: Path
    scores: Scores
    problems: tuple[Problem, ...]
    """In any order; one for each question of the scores, perhaps more."""

    @property
    def task(self) -> str:
        """The task that scores it: the benchmark's own, or that of anybody's problems."""
        if self.scores.protocol.split in BENCHMARKS:
            return self.scores.protocol.split
        return CHOICES if all(_OPTIONS.search(problem.problem) for problem in self.problems) else PROBLEMS

    @property
    def pass_at(self) -> tuple[int, ...]:
        """The k of pass@k that it has."""
        return tuple(
            int(name.removeprefix("pass@")) for name in self.scores.metrics if name.startswith("pass@")
        )


def read_evaluation(folder: Path, problems: Sequence[Problem]) -> Evaluation:
    """A finished evaluation.

    Raises:
        DataError: it has no scores, or one of its questions is not among the problems.
    """
    scores = read_scores(folder)
    asked = set(read_table(samples_path(folder), SAMPLES, ["question_id"])["question_id"].to_pylist())
    known = {problem.id: problem for problem in problems}
    missing = sorted(asked - known.keys())
    if missing:
        raise DataError(
            f"{folder} has responses to {len(missing)} questions that are not among the {len(known)} problems given, "
            f"e.g. {missing[0]!r}; give the file or folder of the problems that were asked"
        )
    return Evaluation(folder, scores, tuple(known[name] for name in known if name in asked))


def export(evaluations: Sequence[Evaluation], place: Path) -> dict[str, str]:
    """Write problems, responses and protocol into a folder; the environment variables that name them.

    Raises:
        DataError: two evaluations have the same task.
        RunError: the disk is full or refuses.
    """
    benchmarks, samples = place / "benchmarks", place / "samples"
    for path in (benchmarks, samples):
        path.mkdir(parents=True, exist_ok=True)
    for evaluation in evaluations:
        file = benchmarks / file_of(evaluation.task)
        if file.exists():
            raise DataError(f"two evaluations of {evaluation.task} cannot be replayed at once")
        write_text(file, problem_lines(evaluation.problems))
        write_responses(samples / f"{evaluation.task}.parquet", evaluation)
    protocol = {
        "name": "replay",
        "user": "{problem}",
        "samples": {evaluation.task: evaluation.scores.samples for evaluation in evaluations},
        "pass_at": {evaluation.task: evaluation.pass_at for evaluation in evaluations},
    }
    return {
        "PREFIX_RFT_BENCHMARKS": str(benchmarks),
        "PREFIX_RFT_SAMPLES": str(samples),
        "PREFIX_RFT_PROTOCOL": json.dumps(protocol),
    }


def file_of(task: str) -> str:
    """Name of a task's file of problems."""
    return BENCHMARKS[task].file if task in BENCHMARKS else f"{task}.jsonl"


def problem_lines(problems: Sequence[Problem]) -> str:
    """A benchmark file: a row for each problem."""
    return "".join(json.dumps(_row(problem), ensure_ascii=False) + "\n" for problem in problems)


def _row(problem: Problem) -> dict[str, object]:
    row: dict[str, object] = {"id": problem.id, "problem": problem.problem, "answer": problem.answer}
    options = problem.meta.get("options")
    number = len(options) if isinstance(options, list) else options
    return row | ({"options": number} if isinstance(number, int) else {})


def write_responses(path: Path, evaluation: Evaluation) -> None:
    """The part of each response that the protocol grades, with what names it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = read_table(samples_path(evaluation.folder), SAMPLES, ["question_id", "sample", "response"])
    think = evaluation.scores.protocol.think
    texts = [shown_part(response, think) for response in table["response"].to_pylist()]
    buffer = pa.BufferOutputStream()
    pq.write_table(
        table.set_column(2, "response", array_of(texts, "string")),
        buffer,
        compression="zstd",
        row_group_size=4096,
    )
    write_bytes(path, buffer.getvalue())


def shown_part(response: str, think: Think) -> str:
    """What of a response is graded, without white space around it; nothing where the protocol finds no answer part."""
    return (graded_part(response, think) or "").strip()


def protocol_json(protocol: EvaluationProtocol) -> str:
    """A protocol for eval/lighteval_tasks.py, which cannot import this project."""
    fields = ("name", "user", "system", "assistant_start", "max_tokens")
    samples = {name: protocol.samples_of(benchmark) for name, benchmark in BENCHMARKS.items()}
    return json.dumps({field: getattr(protocol, field) for field in fields} | {"samples": samples}, indent=2)


if __name__ == "__main__":
    print(protocol_json(find(*sys.argv[1:])))
