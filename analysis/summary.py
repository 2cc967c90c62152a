"""One row's numbers: the mean over training seeds and what is known about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from analysis.measured import Measured
from eval.scores import LEVEL, standard_error_over_questions


@dataclass(frozen=True)
class Summary:
    """A mean over runs, in the unit of its values."""

    mean: float
    half_width: float | None
    """Half of the 95% interval; None where the spread is unknown."""
    interval: Literal["seeds", "questions", ""]
    """What the interval is over."""
    runs: int


def seed_half_width(values: Sequence[float]) -> float | None:
    """Half of the 95% t-interval of the mean over training seeds; None with one seed.

    Where the mean over many seeds may lie, on these questions: the t quantile with n - 1 degrees of freedom
    times the standard deviation over the root of n.
    """
    if len(values) < 2:
        return None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * error


def of_metric(done: Sequence[Measured], metric: str) -> Summary:
    """One score of a row with at least one evaluation; a single run takes its interval over questions."""
    values = [measured.mean(metric) for measured in done]
    half = seed_half_width(values)
    if half is not None:
        return Summary(float(np.mean(values)), half, "seeds", len(done))
    span = done[0].interval(metric)
    return Summary(values[0], (span[1] - span[0]) / 2 if span else None, "questions" if span else "", 1)


def over_bases(rows: Sequence[Sequence[Measured]], metric: str) -> Summary:
    """One score averaged over base models that count alike; its interval is over seeds of these base models.

    Args:
        rows: the evaluations of one variant on each base model; none of them empty.
        metric: which score.
    """
    values = [[done.mean(metric) for done in row] for row in rows]
    mean = float(np.mean([np.mean(of_base) for of_base in values]))
    if any(len(of_base) < 2 for of_base in values):
        return Summary(mean, None, "", sum(map(len, values)))
    variances = [float(np.var(of_base, ddof=1)) / len(of_base) / len(values) ** 2 for of_base in values]
    degrees = satterthwaite(variances, [len(of_base) - 1 for of_base in values])
    quantile = 0.0 if math.isinf(degrees) else float(stdtrit(degrees, (1 + LEVEL) / 2))
    return Summary(mean, quantile * math.sqrt(sum(variances)), "seeds", sum(map(len, values)))


def of_length(done: Sequence[Measured]) -> Summary:
    """Mean response length of a row, in tokens."""
    values = [measured.mean_tokens for measured in done]
    half = seed_half_width(values)
    return Summary(float(np.mean(values)), half, "" if half is None else "seeds", len(done))


def question_error(done: Sequence[Measured], metric: str) -> float | None:
    """Standard error over questions of the row's score, each question's score averaged over the seeds.

    Over several parts it is that of the mean of their means.
    """
    scores = [measured.question_scores(metric) for measured in done]
    errors = [
        standard_error_over_questions(np.mean([of_run[part] for of_run in scores], axis=0))
        for part in scores[0]
    ]
    if any(error is None for error in errors):
        return None
    return math.sqrt(math.fsum(error**2 for error in errors if error is not None)) / len(errors)


def satterthwaite(variances: Sequence[float], degrees: Sequence[int]) -> float:
    """Degrees of freedom of a sum of independent variance estimates; infinite where all of them are 0."""
    parts = sum(
        variance**2 / degree for variance, degree in zip(variances, degrees, strict=True) if variance > 0
    )
    return sum(variances) ** 2 / parts if parts else math.inf
