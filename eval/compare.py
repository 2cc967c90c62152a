"""Is one method better than another? Paired comparisons over questions and training seeds; numpy only.

Axes: M base models, R training seeds of one base model, Q questions of a benchmark, B bootstrap resamples, L levels:
one a benchmark, then one a base model for its seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.intervals import LEVEL, Floats
from eval.scores import RESAMPLES, bootstrap_means
from prefix_rft import keyed

_HALF = 0.5
"""Weight of the pseudo-question; what makes simulated coverage nominal for 30 questions, most of them alike."""
_ROUNDING = 1e-12
"""Means of the same verdicts in another order differ by less than this; that is no difference."""


@dataclass(frozen=True)
class Difference:
    """How much better `a` is than `b`."""

    value: float
    """Mean of a minus mean of b."""
    ci95: tuple[float, float]
    """95% interval, symmetric: over other questions and, with two seeds or more, over other training seeds."""
    p_value: float
    """Two-sided; at least 1 / (2 resamples + 1)."""
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

    See `average_bootstrap`, of which this is the case of one benchmark.

    Args:
        a_RQ: mean score of each question (avg@k, pass@k) under each training seed, in [0, 1].
        b_RQ: the same of the other method.
        parts: key of the draws, e.g. a seed; the same parts give the same answer.
        resamples: B, even.

    Raises:
        ValueError: the shapes differ, or there are fewer than two questions.
    """
    return average_bootstrap([(a_RQ, b_RQ)], *parts, resamples=resamples)


def average_bootstrap(
    pairs: Sequence[tuple[Floats, Floats]], *parts: keyed.Part, resamples: int = RESAMPLES
) -> Difference:
    """The difference of two methods averaged over benchmarks that weigh the same; see `pooled_bootstrap`.

    Args:
        pairs: of every benchmark, both methods' [R, Q] as in `paired_bootstrap`; R is the same in all.
        parts: key of the draws.
        resamples: B, even.

    Raises:
        ValueError: shapes or numbers of seeds differ, or a benchmark has fewer than two questions.
    """
    return pooled_bootstrap([pairs], *parts, resamples=resamples)


def pooled_bootstrap(
    bases: Sequence[Sequence[tuple[Floats, Floats]]], *parts: keyed.Part, resamples: int = RESAMPLES
) -> Difference:
    """The difference of two methods averaged over base models that weigh the same, and over benchmarks likewise.

    Two levels. Questions are resampled within their benchmark, the same ones for both methods, for all seeds and for
    all base models. Training seeds are too few to resample (with three, up to a quarter of the comparisons of equals
    come out below 0.05); instead their level is drawn from Student's t, scaled by the standard error over the seeds
    of each base model. The noise of finite samples shows at both levels and is taken out of the questions' one.
    Base models are not resampled: the interval speaks of these. Intervals are symmetric: two policies'
    differences are skewed in either direction, and few questions do not tell in which.

    Args:
        bases: of every base model and benchmark, both methods' [R, Q] as in `paired_bootstrap`; R is the same on all
            benchmarks of a base model, the questions are the same for all base models.
        parts: key of the draws.
        resamples: B, even.

    Raises:
        ValueError: shapes, questions or numbers of seeds differ, or a benchmark has fewer than two questions.
    """
    differences = [[_paired(a_RQ, b_RQ) for a_RQ, b_RQ in pairs] for pairs in bases]
    _must_be_alike(differences)
    value = float(np.mean([difference_RQ.mean() for of_base in differences for difference_RQ in of_base]))
    away_B = _away(differences, parts, resamples)
    half = max(float(np.quantile(away_B, LEVEL)), _unseen(differences))
    further = int((away_B >= abs(value) - _ROUNDING).sum())
    p_value = 1.0 if abs(value) <= _ROUNDING else (further + 1) / (away_B.size + 1)
    questions = sum(difference_RQ.shape[1] for difference_RQ in differences[0])
    seeds = min(len(of_base[0]) for of_base in differences)
    return Difference(value, (value - half, value + half), p_value, seeds, questions)


def _must_be_alike(differences: Sequence[Sequence[Floats]]) -> None:
    for of_base in differences:
        if len({len(difference_RQ) for difference_RQ in of_base}) != 1:
            raise ValueError("an average over benchmarks needs the same training seeds on each of them")
        if [found.shape[1] for found in of_base] != [found.shape[1] for found in differences[0]]:
            raise ValueError("an average over base models needs the same questions of each of them")
        if any(difference_RQ.shape[1] < 2 for difference_RQ in of_base):
            raise ValueError("a comparison over questions needs at least two questions")


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


def _away(differences: Sequence[Sequence[Floats]], parts: tuple[keyed.Part, ...], resamples: int) -> Floats:
    """How far the observed average may lie from the true one; [2 B]: every draw of the seeds with either sign.

    Questions and seeds have different degrees of freedom. With a t of its own for each level the sum errs upwards,
    with one common t of Welch's degrees it errs downwards (both by two points of coverage with three seeds): half of
    the draws are of either kind.
    """
    bases, benchmarks = len(differences), len(differences[0])
    questions = [_of_questions([of_base[i] for of_base in differences]) for i in range(benchmarks)]
    levels = [*questions, *map(_of_seeds, differences)]
    share = [1 / benchmarks] * benchmarks + [1 / bases] * bases
    sizes = [part * level.error for part, level in zip(share, levels, strict=True)]
    total = math.fsum(size**2 for size in sizes)
    loss = math.fsum(
        size**4 / level.degrees for size, level in zip(sizes, levels, strict=True) if level.degrees
    )
    rng = keyed.generator("levels", *parts)
    half = resamples // 2
    common_B = _chi(rng, total**2 / loss if loss > 0 else math.inf, resamples - half)
    places = [*range(benchmarks), *range(bases)]
    away_LB = np.stack(
        [
            size
            * _drawn(level, place, parts, resamples)
            * np.append(_chi(rng, level.degrees, half), common_B)
            for place, size, level in zip(places, sizes, levels, strict=True)
        ]
    )
    questions_B, seeds_B = away_LB[:benchmarks].sum(axis=0), away_LB[benchmarks:].sum(axis=0)
    away_B: Floats = np.abs(np.append(questions_B + seeds_B, questions_B - seeds_B))
    return away_B


@dataclass(frozen=True)
class _Level:
    """One source of uncertainty."""

    error: float
    """Standard error."""
    degrees: float
    """Degrees of freedom of the error; 0 where there is none."""
    mean_Q: Floats | None = None
    """The questions that are resampled; None for seeds, whose level is normal."""


def _drawn(level: _Level, place: int, parts: tuple[keyed.Part, ...], resamples: int) -> Floats:
    """Deviations with variance 1."""
    if level.degrees == 0 or level.error == 0:
        return np.zeros(resamples)
    names = (*parts, *((place,) if place else ()))
    if level.mean_Q is None:
        return keyed.generator("seeds", *names).standard_normal(resamples)
    drawn_B = bootstrap_means(level.mean_Q[:, None], "paired", *names, resamples=resamples)[:, 0]
    spread = float(level.mean_Q.std()) / math.sqrt(level.mean_Q.size)
    return (drawn_B - float(level.mean_Q.mean())) / spread if spread else np.zeros(resamples)


def _chi(rng: np.random.Generator, degrees: float, size: int) -> Floats:
    """What makes a normal number one of Student's t."""
    if degrees == 0 or math.isinf(degrees):
        return np.ones(size)
    return np.sqrt(degrees / rng.chisquare(degrees, size=size))


def _of_questions(of_bases: Sequence[Floats]) -> _Level:
    """Where the mean over base models may lie on other questions of this kind.

    Where few questions differ, the sample may lack some that do: half a pseudo-question with the largest variance
    that the mean absolute difference allows stands for them, and, where all differences are of size 1 as those of
    0/1 scores, half a question that differs (after Bonett and Price 2012, who add a whole one each way).
    """
    mean_Q = np.mean([difference_RQ.mean(axis=0) for difference_RQ in of_bases], axis=0)
    questions, mean = mean_Q.size, float(mean_Q.mean())
    squares, size = float(((mean_Q - mean) ** 2).sum()), float(np.abs(mean_Q).mean())
    whole = min(1.0, float((mean_Q**2).mean()) / size) ** 4 if size > 0 else 0.0
    more = _HALF * (max(0.0, size - mean**2) + whole)
    weight = _HALF * (1 + whole)
    variance = (squares + more) / (questions - 1 + weight)
    kept = variance * (1 - _noise_share(mean_Q, of_bases))
    return _Level(math.sqrt(kept / questions), questions - 1, mean_Q)


def _of_seeds(of_base: Sequence[Floats]) -> _Level:
    """Where a base model's mean over R seeds may lie about the true one; nothing is known of it with one seed."""
    mean_R = np.mean([difference_RQ.mean(axis=1) for difference_RQ in of_base], axis=0)
    if mean_R.size < 2:
        return _Level(0.0, 0)
    return _Level(float(mean_R.std(ddof=1)) / math.sqrt(mean_R.size), mean_R.size - 1)


def _unseen(differences: Sequence[Sequence[Floats]]) -> float:
    """Half-width where no question differs at all: the share of questions that may, in the worst benchmark's bound."""
    everything = [difference_RQ for of_base in differences for difference_RQ in of_base]
    if any(np.abs(difference_RQ).max() > _ROUNDING for difference_RQ in everything):
        return 0.0
    smallest = min(difference_RQ.shape[1] for difference_RQ in everything)
    return float(1 - ((1 - LEVEL) / 2) ** (1 / smallest))


def _noise_share(mean_Q: Floats, of_bases: Sequence[Floats]) -> float:
    """Share of the variance between questions that is noise which seeds do not share; 0 with one seed.

    By the mean squares of the two-way layout without replication, each base model's own: interaction over questions.
    """
    between = float(mean_Q.var(ddof=1))
    repeated = [difference_RQ for difference_RQ in of_bases if len(difference_RQ) > 1]
    if not repeated or between == 0:
        return 0.0
    noise = math.fsum(_interaction(difference_RQ) / len(difference_RQ) for difference_RQ in repeated)
    return min(1.0, noise / len(of_bases) ** 2 / between)


def _interaction(difference_RQ: Floats) -> float:
    """Mean square of what neither seed nor question explains."""
    seeds, questions = difference_RQ.shape
    rest_RQ = difference_RQ - difference_RQ.mean(axis=1, keepdims=True) - difference_RQ.mean(axis=0)
    rest_RQ += difference_RQ.mean()
    return float((rest_RQ**2).sum() / ((seeds - 1) * (questions - 1)))


def _binomial_two_sided(wins: int, losses: int) -> float:
    decided = wins + losses
    tail = sum(math.comb(decided, i) for i in range(min(wins, losses) + 1))
    return min(1.0, tail / 2 ** (decided - 1)) if decided else 1.0
