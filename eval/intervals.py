"""95% intervals over questions for scores that lie between 0 and 1; numpy only.

Axes: Q questions, K numbers a question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.95
INTERVAL_METHOD = (
    f"{LEVEL:.0%} Wilson interval over questions with the effective number of questions (Student's t; near 0 and 1 "
    "the variance allows for questions unlike those seen); where all questions score alike, the exact binomial bound "
    "on questions that would not"
)
_UPPER = (1 + LEVEL) / 2
_Z = NormalDist().inv_cdf(_UPPER)
_UNSEEN = 5.0
"""Weight, in questions, of what was not seen beside a score at the very edge; none beside one half."""


@dataclass(frozen=True)
class Spread:
    """A mean over questions and how surely it is known."""

    mean: float
    variance: float
    """Of the mean."""
    degrees: float
    """Degrees of freedom of the variance; infinite where the mean alone tells it, as with 0/1 scores."""
    questions: int
    """Q."""
    alike: bool
    """Whether all questions score the same, so that their spread says nothing."""


def intervals_over_questions(value_QK: Floats) -> list[tuple[float, float]]:
    """95% intervals of the K means over questions.

    The questions' spread tells how many 0/1 questions would leave the mean as uncertain; with that many, it is
    Wilson's interval (1927) for a share (so for survey estimates: Korn and Graubard 1998). It stays within [0, 1],
    leans towards one half as it should, and for 0/1 scores is Wilson's own. Percentiles of a bootstrap are symmetric
    where few questions carry the score: with 30 questions they miss a mean of 0.1 in 8% of cases, not in 5%.

    Raises:
        ValueError: fewer than two questions.
    """
    return [interval(spread(value_Q)) for value_Q in value_QK.T]


def spread(value_Q: Floats) -> Spread:
    """Mean of the questions' scores and its variance.

    So far as the variance reaches the largest that the mean allows, m (1 - m), the mean alone tells it and it costs no
    degree of freedom.

    Near 0 and 1 a few questions may carry most of the variance and be missing from the sample. A pseudo-question with
    that largest variance stands for them with weight 5 (1 - 2 m)^2: it changes nothing for 0/1 scores, and nothing at
    one half. The number 5 is what makes simulated
    coverage nominal for skewed scores (`tests/eval/test_coverage.py`).

    Raises:
        ValueError: fewer than two questions.
    """
    questions = value_Q.size
    if questions < 2:
        raise ValueError("an interval over questions needs at least two questions")
    mean = float(value_Q.mean())
    largest = mean * (1 - mean)
    squares = float(((value_Q - mean) ** 2).sum())
    weight = _UNSEEN * (1 - 2 * mean) ** 2
    known = min(squares / questions / largest, 1.0) if largest > 0 else 1.0
    variance = (squares + weight * largest) / (questions - 1 + known + weight) / questions
    degrees = math.inf if known > 1 - 1e-9 else (questions - 1) / (1 - known)
    return Spread(mean, variance, degrees, questions, bool(np.ptp(value_Q) == 0))


def average(spreads: Sequence[Spread]) -> Spread:
    """The mean of several benchmarks' means, each weighing the same; their questions are independent.

    Degrees of freedom after Welch and Satterthwaite.
    """
    parts = [one.variance / len(spreads) ** 2 for one in spreads]
    loss = sum(part**2 / one.degrees for part, one in zip(parts, spreads, strict=True))
    return Spread(
        mean=sum(one.mean for one in spreads) / len(spreads),
        variance=sum(parts),
        degrees=sum(parts) ** 2 / loss if loss > 0 else math.inf,
        questions=sum(one.questions for one in spreads),
        alike=all(one.alike and one.mean == spreads[0].mean for one in spreads),
    )


def interval(known: Spread) -> tuple[float, float]:
    """The 95% interval of a mean; see `intervals_over_questions`."""
    mean = known.mean
    if known.alike or known.variance == 0:
        unseen = 1 - ((1 - LEVEL) / 2) ** (1 / known.questions)
        return mean * (1 - unseen), mean + (1 - mean) * unseen
    effective = mean * (1 - mean) / known.variance
    quantile = _Z if math.isinf(known.degrees) else student_t(_UPPER, known.degrees)
    share = quantile**2 / effective
    centre = (mean + share / 2) / (1 + share)
    half = math.sqrt(share * mean * (1 - mean) + share**2 / 4) / (1 + share)
    return max(0.0, centre - half), min(1.0, centre + half)


def student_t(probability: float, degrees: float) -> float:
    """Quantile of Student's t (Abramowitz and Stegun 26.7.5): 0.2% off at 3 degrees, less beyond; exact at 1 and 2."""
    if degrees == 1:
        return math.tan(math.pi * (probability - 0.5))
    if degrees == 2:
        return (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
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
