"""Finished evaluations on disk, what makes them comparable, and their mean over benchmarks.

Axes: Q questions, S samples a question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.intervals import Floats, average, interval, spread
from eval.protocol import OF_ONE_BENCHMARK, ProtocolRecord, same_protocol
from eval.results import (
    PROTOCOL_FILE,
    SCORES_FILE,
    Claim,
    Scores,
    is_complete,
    read_claim,
    read_scores,
    verdict_matrix,
)
from eval.scores import Estimate, pass_at_k_Q, standard_error_over_questions
from prefix_rft.errors import DataError

SCIENTIFIC = "scientific"
"""Folder, inside an evaluation's own, of the same samples graded with powers of ten read in any notation."""


@dataclass(frozen=True)
class Evaluated:
    """A finished evaluation of one model on one benchmark."""

    folder: Path
    scores: Scores
    scientific: Scores | None = None
    """The same samples with powers of ten alike, where that was graded too."""

    @property
    def benchmark(self) -> str:
        """Its name."""
        return self.scores.protocol.split

    @property
    def changed(self) -> bool:
        """Whether the problems differ from the published ones."""
        return bool(self.scores.protocol.data_changes)

    def question_scores(self, metric: str) -> Floats:
        """[Q] avg@S or pass@k of every question.

        Raises:
            DataError: the verdicts are damaged, or `metric` is neither.
        """
        _, correct_QS = verdict_matrix(self.folder)
        return pass_at_k_Q(correct_QS.sum(axis=1), correct_QS.shape[1], drawn(metric, correct_QS.shape[1]))


@dataclass(frozen=True)
class Unfinished:
    """An evaluation that was begun."""

    folder: Path
    claim: Claim


@dataclass(frozen=True)
class Found:
    """What lies below some folders."""

    evaluations: tuple[Evaluated, ...]
    unfinished: tuple[Unfinished, ...]


def find(roots: Sequence[Path]) -> Found:
    """Every evaluation at or below these folders, by path; a store of runs is such a folder too.

    Raises:
        DataError: a folder does not exist, or a file of an evaluation is damaged.
    """
    for root in roots:
        if not root.is_dir():
            raise DataError(f"there is no folder {root}; name folders of evaluations, or a store of runs.")
    folders = sorted({path.parent for root in roots for path in root.rglob(PROTOCOL_FILE)})
    own = [folder for folder in folders if folder.name != SCIENTIFIC or folder.parent not in folders]
    done = {folder: is_complete(folder) for folder in own}
    return Found(
        tuple(_read(folder) for folder in own if done[folder]),
        tuple(Unfinished(folder, read_claim(folder)) for folder in own if not done[folder]),
    )


def drawn(metric: str, samples: int) -> int:
    """k of pass@k; 1 for `avg` and avg@S, which is pass@1 by another name.

    Raises:
        DataError: it is no such metric of S samples.
    """
    name, at, k = metric.partition("@")
    if name == "avg" and k in ("", str(samples)):
        return 1
    if name == "pass" and at and k.isdigit() and 1 <= int(k) <= samples:
        return int(k)
    raise DataError(f"{metric!r} is no metric of {samples} samples; known: avg, pass@1 ... pass@{samples}.")


def same_measure(evaluations: Sequence[Evaluated]) -> ProtocolRecord:
    """What all evaluations of a table have in common, whatever their benchmark.

    Raises:
        ProtocolError: one benchmark was measured in two ways, or two benchmarks under different protocols; names the
            differing fields.
    """
    for name in dict.fromkeys(one.benchmark for one in evaluations):
        same_protocol([one.scores.protocol for one in evaluations if one.benchmark == name])
    return same_protocol([one.scores.protocol.model_copy(update=OF_ONE_BENCHMARK) for one in evaluations])


def average_of(evaluations: Sequence[Evaluated], metric: str = "avg") -> Estimate:
    """The mean over benchmarks that weigh the same, for one model; its interval lets every benchmark's
    problems vary. A benchmark of one problem leaves it without.

    Raises:
        DataError: a file is damaged, or a benchmark lacks the metric.
        ProtocolError: the benchmarks were measured under different protocols.
        ValueError: a benchmark stands there twice.
    """
    names = [one.benchmark for one in evaluations]
    if len(set(names)) != len(names):
        raise ValueError(f"an average takes every benchmark once, not {', '.join(sorted(names))}")
    same_measure(evaluations)
    values = [one.question_scores(metric) for one in evaluations]
    several = all(value_Q.size > 1 for value_Q in values)
    mean = average([spread(value_Q) for value_Q in values]) if several else None
    return Estimate(
        value=math.fsum(float(value_Q.mean()) for value_Q in values) / len(values),
        se_questions=_error([standard_error_over_questions(value_Q) for value_Q in values]),
        se_samples=_error([_metric(one.scores, metric).se_samples for one in evaluations]),
        ci95=interval(mean) if mean else None,
    )


def _error(errors: Sequence[float | None]) -> float | None:
    """Standard error of a mean of independent numbers; None where one of theirs is unknown."""
    known = [error for error in errors if error is not None]
    return math.hypot(*known) / len(errors) if len(known) == len(errors) else None


def _read(folder: Path) -> Evaluated:
    beside = folder / SCIENTIFIC
    normalised = read_scores(beside) if (beside / SCORES_FILE).exists() else None
    return Evaluated(folder, read_scores(folder), normalised)


def _metric(scores: Scores, metric: str) -> Estimate:
    k = drawn(metric, scores.samples)
    points = {point.k: point.estimate for point in scores.curve}
    found = scores.headline if k == 1 else points.get(k, scores.metrics.get(metric))
    if found is None:
        raise DataError(
            f"{scores.subject} has no {metric} on {scores.protocol.split}; score it again with that k."
        )
    return found
