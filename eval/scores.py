"""avg@k and pass@k of a 0/1 matrix, each with the uncertainty over questions and over samples; numpy only.

Axes: Q questions, S samples a question, K numbers a question, B bootstrap resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from prefix_rft import keyed

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

RESAMPLES = 10_000
LEVEL = 0.95
INTERVAL_METHOD = (
    f"{LEVEL:.0%} bootstrap over questions ({RESAMPLES:,} keyed resamples, percentiles widened for few "
    "questions); where all questions score alike, the exact binomial bound on questions that would not"
)
_BLOCK = 1_000


@dataclass(frozen=True)
class Estimate:
    """One score with what is known about its uncertainty."""

    value: float
    """The score, in [0, 1]."""
    se_questions: float | None
    """Standard error over questions: would it hold on other questions like these? None with one question."""
    se_samples: float | None
    """Standard error over samples: would a rerun on these questions agree? None for k = n."""
    ci95: tuple[float, float] | None
    """95% interval over questions (method: `INTERVAL_METHOD`); None with one question."""


def avg_at_k(correct_QS: NDArray[np.bool_]) -> float:
    """Mean over questions of the mean over their samples."""
    return float(correct_QS.mean(axis=1).mean())


def pass_at_k(correct_QS: NDArray[np.bool_], k: int) -> float:
    """Mean over questions of the unbiased chance that at least one of k samples is correct."""
    return float(pass_at_k_Q(correct_QS.sum(axis=1), correct_QS.shape[1], k).mean())


def pass_at_k_Q(correct_Q: Counts, samples: int, k: int) -> Floats:
    """1 - C(n - c, k) / C(n, k) for each question, with c of n samples correct.

    As a product, -expm1(sum of log1p(-k / j) for j = n - c + 1 ... n), it neither overflows nor cancels
    (estimator: Chen et al. 2021, arXiv 2107.03374, section 2.1).

    Args:
        correct_Q: c, correct samples of each question.
        samples: n, samples of each question.
        k: samples drawn, 1 <= k <= n.

    Raises:
        ValueError: k or a count is out of range.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} of {samples} samples: k must lie between 1 and {samples}")
    if correct_Q.size and not 0 <= correct_Q.min() <= correct_Q.max() <= samples:
        raise ValueError(f"counts of correct samples must lie between 0 and {samples}")
    terms = np.log1p(-k / np.arange(samples, k, -1, dtype=np.float64))
    log_miss = np.concatenate([[0.0], np.cumsum(terms), [-np.inf]])
    log_miss_Q: Floats = log_miss[np.minimum(correct_Q, samples - k + 1)]
    return np.negative(np.expm1(log_miss_Q))


def standard_error_over_questions(value_Q: Floats) -> float | None:
    """Standard deviation of the questions' scores over the root of their number; None with one question."""
    if value_Q.size < 2:
        return None
    return float(value_Q.std(ddof=1) / math.sqrt(value_Q.size))


def standard_error_over_samples(correct_Q: Counts, samples: int, k: int) -> float | None:
    """Jackknife standard error of pass@k over redrawn samples; None for k = n: nothing is left to compare.

    Leaving out one sample gives one of two values, so the jackknife has a closed form. For k = 1 it is the
    unbiased sqrt(sum of p (1 - p) / (n - 1)) / Q, which is also that of avg@n; for larger k it errs upwards
    (Efron and Stein 1981).
    """
    if k >= samples:
        return None
    without_correct_Q = pass_at_k_Q(np.maximum(correct_Q - 1, 0), samples - 1, k)
    without_wrong_Q = pass_at_k_Q(np.minimum(correct_Q, samples - 1), samples - 1, k)
    mixed_Q = correct_Q * (samples - correct_Q) * (samples - 1) / samples**2
    variance_Q = mixed_Q * (without_wrong_Q - without_correct_Q) ** 2
    return float(np.sqrt(variance_Q.sum()) / correct_Q.size)


def bootstrap_means(value_QK: Floats, *parts: keyed.Part, resamples: int = RESAMPLES) -> Floats:
    """Means over questions drawn with replacement; [B, K]. The draws belong to `parts` alone."""
    counts_BQ = _draw_counts(parts, resamples, len(value_QK))
    blocks = [counts_BQ[rows].astype(np.float64) @ value_QK for rows in _blocks(resamples)]
    return np.concatenate(blocks) / len(value_QK)


def intervals_over_questions(value_QK: Floats, *parts: keyed.Part) -> list[tuple[float, float]]:
    """95% intervals of the K means over questions (percentile bootstrap, widened after Hesterberg 2015, 5.3).

    Plain percentiles are too narrow by about sqrt((Q - 1) / Q) times normal over t quantile; taking them
    further out repairs that without leaving [0, 1]. Scores that are the same for all questions have no spread
    to resample: there the interval allows for the share of questions that may differ unseen, the exact
    binomial bound for 0 of Q.

    Raises:
        ValueError: fewer than two questions.
    """
    questions = len(value_QK)
    if questions < 2:
        raise ValueError("an interval over questions needs at least two questions")
    tail = _widened_tail(questions)
    low_K, high_K = np.quantile(bootstrap_means(value_QK, *parts), [tail, 1 - tail], axis=0)
    unseen = 1 - ((1 - LEVEL) / 2) ** (1 / questions)
    alike_K = np.ptp(value_QK, axis=0) == 0
    low_K = np.where(alike_K, value_QK[0] * (1 - unseen), low_K)
    high_K = np.where(alike_K, value_QK[0] + (1 - value_QK[0]) * unseen, high_K)
    return [(float(low), float(high)) for low, high in zip(low_K, high_K, strict=True)]


def estimates(correct_QS: NDArray[np.bool_], pass_at: Sequence[int], seed: int) -> dict[str, Estimate]:
    """avg@S and every pass@k, by name.

    Args:
        correct_QS: verdicts; at least one question and one sample.
        pass_at: the k of pass@k, each at most S.
        seed: key of the bootstrap.
    """
    questions, samples = correct_QS.shape
    correct_Q = correct_QS.sum(axis=1)
    draws = {f"avg@{samples}": 1} | {f"pass@{k}": k for k in pass_at}
    value_QK = np.stack([pass_at_k_Q(correct_Q, samples, k) for k in draws.values()], axis=1)
    spans = intervals_over_questions(value_QK, "scores", seed) if questions > 1 else [None] * len(draws)
    return {
        name: Estimate(
            value=float(value_Q.mean()),
            se_questions=standard_error_over_questions(value_Q),
            se_samples=standard_error_over_samples(correct_Q, samples, k),
            ci95=span,
        )
        for (name, k), value_Q, span in zip(draws.items(), value_QK.T, spans, strict=True)
    }


def student_t(probability: float, degrees: int) -> float:
    """Quantile of Student's t (Abramowitz and Stegun 26.7.5): 0.2% off at 3 degrees, less beyond."""
    z = NormalDist().inv_cdf(probability)
    coefficients: tuple[tuple[dict[int, int], int], ...] = (
        ({3: 1, 1: 1}, 4),
        ({5: 5, 3: 16, 1: 3}, 96),
        ({7: 3, 5: 19, 3: 17, 1: -15}, 384),
        ({9: 79, 7: 776, 5: 1482, 3: -1920, 1: -945}, 92160),
    )
    terms = [
        sum(c * math.pow(z, i) for i, c in polynomial.items()) / scale for polynomial, scale in coefficients
    ]
    return z + sum(term / math.pow(degrees, order) for order, term in enumerate(terms, start=1))


def few_questions_factor(questions: int) -> float:
    """How much too narrow a bootstrap over Q questions is: sqrt(Q / (Q - 1)) times t over normal quantile."""
    upper = (1 + LEVEL) / 2
    ratio = student_t(upper, questions - 1) / NormalDist().inv_cdf(upper)
    return math.sqrt(questions / (questions - 1)) * ratio


def _widened_tail(questions: int) -> float:
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    return NormalDist().cdf(-z * few_questions_factor(questions))


@lru_cache(maxsize=4)
def _draw_counts(parts: tuple[keyed.Part, ...], resamples: int, questions: int) -> NDArray[np.uint16]:
    """How often each question is drawn in each resample; [B, Q], rows summing to Q.

    Kept for the next call: a table compares many pairs by the same draws.
    """
    rng = keyed.generator("bootstrap", *parts)
    counts_BQ = np.empty((resamples, questions), np.uint16)
    for rows in _blocks(resamples):
        size = rows.stop - rows.start
        drawn_BQ = rng.integers(0, questions, size=(size, questions))
        cells = drawn_BQ + questions * np.arange(size)[:, None]
        counts_BQ[rows] = np.bincount(cells.ravel(), minlength=size * questions).reshape(size, questions)
    return counts_BQ


def _blocks(resamples: int) -> Iterator[slice]:
    """Blocks keep what is larger than a count out of memory."""
    for start in range(0, resamples, _BLOCK):
        yield slice(start, min(start + _BLOCK, resamples))
