"""Comparison over several base models and benchmarks: what it must agree with, and how often it errs."""

from __future__ import annotations

import numpy as np
import pytest

from eval.compare import average_bootstrap, paired_bootstrap, pooled_bootstrap
from eval.intervals import Floats


def scores(rng: np.random.Generator, seeds: int, shift: float, questions: int = 80) -> Floats:
    difficulty_Q = rng.normal(0, 0.2, questions)
    noise_R1, noise_RQ = rng.normal(0, 0.05, (seeds, 1)), rng.normal(0, 0.1, (seeds, questions))
    return np.asarray(0.5 + shift + difficulty_Q + noise_R1 + noise_RQ)


def test_one_base_model_is_the_plain_comparison() -> None:
    rng = np.random.default_rng(0)
    a_RQ, b_RQ = scores(rng, 3, 0.1), scores(rng, 3, 0.0)
    assert pooled_bootstrap([[(a_RQ, b_RQ)]], "x") == paired_bootstrap(a_RQ, b_RQ, "x")


def test_one_base_model_on_two_benchmarks_is_their_average() -> None:
    rng = np.random.default_rng(0)
    pairs = [(scores(rng, 3, 0.1, questions), scores(rng, 3, 0.0, questions)) for questions in (30, 80)]
    assert pooled_bootstrap([pairs], "x") == average_bootstrap(pairs, "x")


def test_base_models_count_alike_however_many_seeds_they_have() -> None:
    ones, zeros = np.ones((5, 20)), np.zeros((5, 20))
    found = pooled_bootstrap([[(ones, zeros)], [(zeros[:2], zeros[:2])]], "x")
    assert (found.value, found.seeds, found.questions) == (0.5, 2, 20)


def test_benchmarks_count_alike_however_many_questions_they_have() -> None:
    small, large = (np.ones((2, 10)), np.zeros((2, 10))), (np.zeros((2, 90)), np.zeros((2, 90)))
    assert pooled_bootstrap([[small, large]], "x").value == 0.5


def test_the_mean_of_two_alike_base_models_is_surer_than_one() -> None:
    rng = np.random.default_rng(1)
    bases = [[(scores(rng, 4, 0.05), scores(rng, 4, 0.0))] for _ in range(2)]
    low, high = pooled_bootstrap(bases, "x").ci95
    alone = [pooled_bootstrap([pairs], "x").ci95 for pairs in bases]
    assert high - low < min(upper - lower for lower, upper in alone)


def test_sides_turn_the_difference_and_its_interval() -> None:
    rng = np.random.default_rng(2)
    bases = [[(scores(rng, 3, 0.05), scores(rng, 3, 0.0))] for _ in range(2)]
    one = pooled_bootstrap(bases, "x")
    other = pooled_bootstrap([[(b_RQ, a_RQ) for a_RQ, b_RQ in pairs] for pairs in bases], "x")
    assert (other.value, *other.ci95) == pytest.approx((-one.value, -one.ci95[1], -one.ci95[0]))


def half_width(bases: list[list[tuple[Floats, Floats]]]) -> float:
    low, high = pooled_bootstrap(bases, "x").ci95
    return (high - low) / 2


def test_the_seeds_of_every_base_model_count_with_its_weight() -> None:
    """Questions that all differ alike: what is left is a mean of two means of 20 seeds each."""
    seeds, questions = 20, 400
    shift_R1 = np.linspace(-0.1, 0.1, seeds)[:, None]
    pair = (0.5 + np.tile(shift_R1, questions), np.full((seeds, questions), 0.5))
    error = float(shift_R1.std(ddof=1)) / np.sqrt(seeds)
    assert half_width([[pair]]) == pytest.approx(2.09 * error, rel=0.1)
    assert half_width([[pair], [pair]]) == pytest.approx(2.02 * error / np.sqrt(2), rel=0.1)


def test_the_questions_of_every_benchmark_count_with_its_weight() -> None:
    rng = np.random.default_rng(5)
    pairs = [(rng.normal(0.5, 0.2, (1, n)), np.full((1, n), 0.5)) for n in (300, 600)]
    errors = [float((a_RQ - b_RQ).std(ddof=1)) / np.sqrt(a_RQ.size) for a_RQ, b_RQ in pairs]
    assert half_width([pairs]) == pytest.approx(1.96 * float(np.hypot(*errors)) / 2, rel=0.1)


@pytest.mark.parametrize(
    ("bases", "message"),
    [
        ([[(np.ones((2, 5)), np.ones((2, 5))), (np.ones((3, 5)), np.ones((3, 5)))]], "same training seeds"),
        ([[(np.ones((2, 5)), np.ones((2, 5)))], [(np.ones((2, 6)), np.ones((2, 6)))]], "same questions"),
        ([[(np.ones((2, 1)), np.ones((2, 1)))]], "at least two questions"),
    ],
)
def test_what_cannot_be_averaged_is_refused(bases: list[list[tuple[Floats, Floats]]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pooled_bootstrap(bases)


@pytest.mark.parametrize("benchmarks", [1, 3])
def test_equals_are_told_apart_no_more_often_than_the_level(benchmarks: int) -> None:
    rng = np.random.default_rng(3)
    errors = 0
    for trial in range(400):
        bases = [[(scores(rng, 3, 0.0), scores(rng, 3, 0.0)) for _ in range(benchmarks)] for _ in range(2)]
        errors += pooled_bootstrap(bases, "trial", trial, resamples=1000).p_value < 0.05
    # At most 5%: 20 of 400 with a standard deviation of 4.4. Two base models of three seeds err on the safe side: of
    # 2,000 comparisons, 2.0% with one benchmark and 2.4% with three.
    assert 1 <= errors <= 33
