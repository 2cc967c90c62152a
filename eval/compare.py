"""Is one method better than another? Paired comparisons over questions and training seeds; numpy only.

Axes: R training seeds, Q questions, B bootstrap resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.scores import LEVEL, RESAMPLES, Floats, bootstrap_means, few_questions_factor
from prefix_rft import keyed

_ROUNDING = 1e-12
"""Means of the same verdicts in another order differ by less than this; that is no difference."""


@dataclass(frozen=True)
class Difference:
    """How much better `a` is than `b`."""

    value: float
    """Mean of a minus mean of b."""
    ci95: tuple[float, float]
    """95% interval: over other questions and, with two seeds or more, over other training seeds."""
    p_value: float
    """Two-sided; at least 2 / (resamples + 1)."""
    seeds: int
    """R; with one seed, training's own randomness is not in the interval."""
    questions: int
    """Q."""


@dataclass(frozen=True)
class SignTest:
    """On how many questions `a` is ahead of `b`, whatever by how much."""

    wins: int
    """Questions on which a is better."""
    losses: int
    """Questions on which b is better."""
    ties: int
    """Questions on which they are alike; these say nothing."""
    p_value: float
    """Exact, two-sided."""


def paired_bootstrap(
    a_RQ: Floats, b_RQ: Floats, *parts: keyed.Part, resamples: int = RESAMPLES
) -> Difference:
    """The difference of two methods on the same questions, row r of both trained with the same seed.

    Two levels. Questions are resampled, the same ones for both methods and for all seeds. Training seeds are
    too few to resample (with three, up to a quarter of the comparisons of equals come out below 0.05);
    instead their level is drawn from Student's t with R - 1 degrees of freedom, scaled by the standard error
    over seeds. The noise of finite samples shows at both levels and is taken out of the questions' one.
    Where only seeds matter, this is the paired t-test over seeds; with one seed, the bootstrap over
    questions.

    Args:
        a_RQ: mean score of each question (avg@k, pass@k) under each training seed.
        b_RQ: the same of the other method.
        parts: key of the draws, e.g. a seed; the same parts give the same answer.
        resamples: B.

    Raises:
        ValueError: the shapes differ, or there are fewer than two questions.
    """
    difference_RQ = _paired(a_RQ, b_RQ)
    seeds, questions = difference_RQ.shape
    if questions < 2:
        raise ValueError("a comparison over questions needs at least two questions")
    value = float(difference_RQ.mean())
    outcome_B = value + _question_deviations(difference_RQ, parts, resamples)
    outcome_B += _seed_deviations(difference_RQ.mean(axis=1), parts, resamples)
    low, high = np.quantile(outcome_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(value, (float(low), float(high)), _two_sided(outcome_B), seeds, questions)


def sign_test(a_RQ: Floats, b_RQ: Floats) -> SignTest:
    """Exact sign test over questions on their means over seeds.

    Raises:
        ValueError: the shapes differ.
    """
    mean_Q = _paired(a_RQ, b_RQ).mean(axis=0)
    wins, losses = int((mean_Q > _ROUNDING).sum()), int((mean_Q < -_ROUNDING).sum())
    return SignTest(wins, losses, mean_Q.size - wins - losses, _binomial_two_sided(wins, losses))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: compare each with the level wanted for all together.

    The smallest of m is multiplied by m, the next by m - 1, and none may fall below one before it
    (Holm 1979).
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, i in enumerate(order):
        floor = max(floor, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = floor
    return adjusted


def _paired(a_RQ: Floats, b_RQ: Floats) -> Floats:
    if a_RQ.ndim != 2 or a_RQ.shape != b_RQ.shape:
        raise ValueError(
            "a paired comparison needs [seeds, questions] of the same seeds and questions on both sides, "
            f"not {a_RQ.shape} and {b_RQ.shape}; compare the seeds and questions that both have"
        )
    difference_RQ: Floats = np.subtract(a_RQ, b_RQ, dtype=np.float64)
    return difference_RQ


def _question_deviations(difference_RQ: Floats, parts: tuple[keyed.Part, ...], resamples: int) -> Floats:
    """Where the mean may lie on other questions of this kind, about the observed one."""
    mean_Q = difference_RQ.mean(axis=0)
    drawn_B = bootstrap_means(mean_Q[:, None], "paired", *parts, resamples=resamples)[:, 0]
    scale = few_questions_factor(mean_Q.size) * math.sqrt(1 - _noise_share(difference_RQ))
    return (drawn_B - float(mean_Q.mean())) * scale


def _noise_share(difference_RQ: Floats) -> float:
    """Share of the variance between questions that is noise which seeds do not share; 0 with one seed.

    By the mean squares of the two-way layout without replication: interaction over questions.
    """
    seeds, questions = difference_RQ.shape
    mean_R1, mean_Q = difference_RQ.mean(axis=1, keepdims=True), difference_RQ.mean(axis=0)
    between = float(seeds * mean_Q.var(ddof=1))
    if seeds < 2 or between == 0:
        return 0.0
    rest_RQ = difference_RQ - mean_R1 - mean_Q + difference_RQ.mean()
    noise = float((rest_RQ**2).sum() / ((seeds - 1) * (questions - 1)))
    return min(1.0, noise / between)


def _seed_deviations(mean_R: Floats, parts: tuple[keyed.Part, ...], resamples: int) -> Floats:
    """Where the mean over R seeds may lie about the true one; zeros with one seed."""
    if mean_R.size < 2:
        return np.zeros(resamples)
    error = float(mean_R.std(ddof=1)) / math.sqrt(mean_R.size)
    return keyed.generator("seeds", *parts).standard_t(mean_R.size - 1, size=resamples) * error


def _two_sided(outcome_B: Floats) -> float:
    """Twice the smaller share of outcomes on one side of zero; the observed one counts to both."""
    smaller = min(int((outcome_B <= _ROUNDING).sum()), int((outcome_B >= -_ROUNDING).sum()))
    return min(1.0, 2 * (smaller + 1) / (outcome_B.size + 1))


def _binomial_two_sided(wins: int, losses: int) -> float:
    decided = wins + losses
    tail = sum(math.comb(decided, i) for i in range(min(wins, losses) + 1))
    return min(1.0, tail / 2 ** (decided - 1)) if decided else 1.0
