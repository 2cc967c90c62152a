"""avg@k and pass@k of a 0/1 matrix, each with the uncertainty over questions and over samples; numpy only.

Axes: Q questions, S samples a question, K numbers a question, B bootstrap resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eval.intervals import LEVEL as LEVEL
from eval.intervals import Floats as Floats
from eval.intervals import intervals_over_questions
from prefix_rft import keyed

Counts = NDArray[np.int64]

RESAMPLES = 10_000
"""Bootstrap resamples of a comparison."""
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
    """95% interval over questions (method: `eval.intervals.INTERVAL_METHOD`); None with one question."""


@dataclass(frozen=True)
class PassAt:
    """One point of the pass@k curve."""

    k: int
    """Samples drawn."""
    estimate: Estimate
    """pass@k."""


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


def estimates(correct_QS: NDArray[np.bool_], pass_at: Sequence[int]) -> dict[str, Estimate]:
    """avg@S and every pass@k, by name.

    Args:
        correct_QS: verdicts; at least one question and one sample.
        pass_at: the k of pass@k, each at most S.
    """
    samples = correct_QS.shape[1]
    correct_Q = correct_QS.sum(axis=1)
    draws = {f"avg@{samples}": 1} | {f"pass@{k}": k for k in pass_at}
    return {name: _pass_estimate(correct_Q, samples, k) for name, k in draws.items()}


def pass_curve(correct_QS: NDArray[np.bool_]) -> tuple[PassAt, ...]:
    """pass@k for k = 1, 2, 4, ... and k = S."""
    samples = correct_QS.shape[1]
    correct_Q = correct_QS.sum(axis=1)
    return tuple(PassAt(k, _pass_estimate(correct_Q, samples, k)) for k in powers_of_two(samples))


def powers_of_two(samples: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to the number of samples, and that number itself."""
    powers = [1 << power for power in range(samples.bit_length())]
    return (*powers, samples) if powers[-1] < samples else tuple(powers)


def estimate(value_Q: Floats, se_samples: float | None) -> Estimate:
    """The mean over questions with its error and interval over questions."""
    return Estimate(
        value=float(value_Q.mean()),
        se_questions=standard_error_over_questions(value_Q),
        se_samples=se_samples,
        ci95=intervals_over_questions(value_Q[:, None])[0] if value_Q.size > 1 else None,
    )


def _pass_estimate(correct_Q: Counts, samples: int, k: int) -> Estimate:
    value_Q = pass_at_k_Q(correct_Q, samples, k)
    return estimate(value_Q, standard_error_over_samples(correct_Q, samples, k))


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
