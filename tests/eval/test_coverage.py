"""95% intervals hold the truth in 93 to 97% of simulated evaluations, at the sizes of the published benchmarks.

Axes: R training seeds, Q questions, S samples a question, T simulated evaluations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from eval.compare import average_bootstrap, paired_bootstrap
from eval.intervals import Floats, average, interval, spread
from eval.scores import pass_at_k_Q
from prefix_rft import keyed

pytestmark = pytest.mark.slow
MANY = 2_000_000
"""Questions that tell the truth."""
Beta = tuple[float, float]
Normal = tuple[float, float]
"""Mean and standard deviation of the log-odds of a solution."""


def scores_TQ(
    trials: int, questions: int, samples: int, difficulty: Beta, k: int, name: str
) -> tuple[Floats, float]:
    """pass@k of every question in every evaluation, and its mean over all questions there could be."""
    rng = keyed.generator("coverage", name, questions, samples, k)
    solved_TQ = rng.binomial(samples, rng.beta(*difficulty, size=(trials, questions)))
    table = pass_at_k_Q(np.arange(samples + 1), samples, k)
    return table[solved_TQ], float((1 - (1 - rng.beta(*difficulty, MANY)) ** k).mean())


def share_covered(value_TQ: Floats, truth: float) -> float:
    spans = [interval(spread(value_Q)) for value_Q in value_TQ]
    return float(np.mean([low <= truth <= high for low, high in spans]))


@pytest.mark.parametrize(
    "difficulty", [(0.15, 1.0), (0.25, 1.5), (0.4, 0.9), (1.0, 1.0), (2.0, 1.0)], ids=str
)
@pytest.mark.parametrize("k", [1, 2, 4, 32])
def test_thirty_problems_of_32_samples(difficulty: Beta, k: int) -> None:
    value_TQ, truth = scores_TQ(4000, 30, 32, difficulty, k, "aime")
    # Beyond .95 nearly all problems are solved: the interval is one on a handful of failures.
    most = 0.97 if truth < 0.95 else 0.99
    assert 0.93 <= share_covered(value_TQ, truth) <= most


@pytest.mark.parametrize("difficulty", [(0.4, 0.9), (0.6, 0.6), (0.9, 0.42), (0.3, 3.0)], ids=str)
@pytest.mark.parametrize("k", [1, 4, 32])
def test_eighty_three_problems_of_32_samples(difficulty: Beta, k: int) -> None:
    value_TQ, truth = scores_TQ(4000, 83, 32, difficulty, k, "amc")
    least = 0.93 if truth < 0.95 else 0.92
    assert least <= share_covered(value_TQ, truth) <= 0.97


@pytest.mark.parametrize(
    ("questions", "rate"), [(500, 0.87), (500, 0.44), (500, 0.97), (272, 0.4), (272, 0.077)]
)
def test_one_sample_a_problem(questions: int, rate: float) -> None:
    difficulty = (4 * rate, 4 * (1 - rate))
    value_TQ, truth = scores_TQ(4000, questions, 1, difficulty, 1, "once")
    assert 0.93 <= share_covered(value_TQ, truth) <= 0.97


def test_the_average_of_six() -> None:
    parts = [
        scores_TQ(2000, questions, samples, difficulty, 1, str(place))
        for place, (questions, samples, difficulty) in enumerate(
            [
                (30, 32, (0.4, 0.9)),
                (30, 32, (0.25, 1.5)),
                (83, 32, (0.9, 0.42)),
                (500, 1, (2.0, 0.3)),
                (272, 1, (1.0, 1.5)),
                (675, 1, (1.0, 1.0)),
            ]
        )
    ]
    truth = float(np.mean([true for _, true in parts]))
    spans = [
        interval(average([spread(v) for v in values])) for values in zip(*(v for v, _ in parts), strict=True)
    ]
    assert 0.93 <= np.mean([low <= truth <= high for low, high in spans]) <= 0.97


class Rivals:
    """Two methods whose chances share the questions' difficulty."""

    def __init__(self, name: str, difficulty: Normal, own: float, seed_effect: float, ahead: float) -> None:
        self.rng = keyed.generator("rivals", name, *(f"{x}" for x in (*difficulty, own, seed_effect, ahead)))
        self.difficulty, self.own, self.seed_effect, self.ahead = difficulty, own, seed_effect, ahead

    def measure(self, seeds: int, questions: int, samples: int) -> tuple[Floats, Floats]:
        common_Q = self.rng.normal(*self.difficulty, questions)
        shift_R1 = self.rng.normal(0, self.seed_effect, (2, seeds, 1))
        return tuple(  # type: ignore[return-value]
            self.rng.binomial(samples, self._chance(common_Q + shift_R1[side], ahead)) / samples
            for side, ahead in enumerate((self.ahead, 0.0))
        )

    def truth(self) -> float:
        common = self.rng.normal(*self.difficulty, MANY)
        a, b = (
            self._chance(common + self.rng.normal(0, self.seed_effect, MANY), s).mean()
            for s in (self.ahead, 0)
        )
        return float(a - b)

    def _chance(self, log_odds: Floats, ahead: float) -> Floats:
        own_Q = self.rng.normal(0, self.own, log_odds.shape[-1])
        chance: Floats = 1 / (1 + np.exp(-(log_odds + own_Q + ahead)))
        return chance


def share_paired(rivals: Rivals, seeds: int, questions: int, samples: int, trials: int = 1500) -> float:
    truth, hits = rivals.truth(), 0
    for _ in range(trials):
        # The same draws for all: their luck is one of resamples, not of evaluations.
        low, high = paired_bootstrap(*rivals.measure(seeds, questions, samples), 0, resamples=2000).ci95
        hits += low <= truth <= high
    return hits / trials


SIZES = pytest.mark.parametrize(
    ("questions", "samples", "difficulty"),
    [(30, 32, (-1.5, 2.5)), (83, 32, (0.5, 2.0)), (500, 1, (2.0, 1.5)), (272, 1, (-0.5, 1.5))],
    ids=["30x32", "83x32", "500x1", "272x1"],
)


@SIZES
@pytest.mark.parametrize(("own", "ahead"), [(0.5, 0.0), (0.5, 0.6), (1.0, 0.3)])
def test_a_difference_of_two_policies(
    questions: int, samples: int, difficulty: Normal, own: float, ahead: float
) -> None:
    assert 0.93 <= share_paired(Rivals("one", difficulty, own, 0, ahead), 1, questions, samples) <= 0.97


@SIZES
@pytest.mark.parametrize(("own", "seed_effect"), [(0.0, 0.0), (0.5, 0.0), (0.5, 0.1), (0.5, 0.3), (0.5, 1.0)])
def test_a_difference_of_two_methods_over_three_seeds(
    questions: int, samples: int, difficulty: Normal, own: float, seed_effect: float
) -> None:
    rivals = Rivals("three", difficulty, own, seed_effect, 0.4 if own else 0.0)
    # 93.6 to 97.0% were found; 1,500 simulations leave half a point open.
    assert 0.93 <= share_paired(rivals, 3, questions, samples) <= 0.975


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_difference_of_averages(seeds: int) -> None:
    sizes: Sequence[tuple[int, int, Normal]] = [
        (30, 32, (-1.5, 2.5)),
        (83, 32, (0.5, 2.0)),
        (272, 1, (-0.5, 1.5)),
    ]
    rivals = [
        Rivals(f"of {place}", difficulty, 0.5, 0.0, 0.4) for place, (_, _, difficulty) in enumerate(sizes)
    ]
    truth, hits = float(np.mean([one.truth() for one in rivals])), 0
    for _ in range(1000):
        pairs = [
            one.measure(seeds, questions, samples)
            for one, (questions, samples, _) in zip(rivals, sizes, strict=True)
        ]
        low, high = average_bootstrap(pairs, 0, resamples=2000).ci95
        hits += low <= truth <= high
    assert 0.93 <= hits / 1000 <= 0.97
