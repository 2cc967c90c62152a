"""Comparison over several base models: what it must agree with, and how often it errs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.pooled import pooled_bootstrap, satterthwaite
from eval.compare import paired_bootstrap


def scores(rng: np.random.Generator, seeds: int, shift: float, questions: int = 80):
    difficulty_Q = rng.normal(0, 0.2, questions)
    return (
        0.5 + shift + difficulty_Q + rng.normal(0, 0.05, (seeds, 1)) + rng.normal(0, 0.1, (seeds, questions))
    )


def test_one_base_model_is_the_plain_comparison():
    rng = np.random.default_rng(0)
    a_RQ, b_RQ = scores(rng, 3, 0.1), scores(rng, 3, 0.0)
    assert pooled_bootstrap([(a_RQ, b_RQ)], "x") == paired_bootstrap(a_RQ, b_RQ, "x")


def test_base_models_count_alike_however_many_seeds_they_have():
    ones, zeros = np.ones((5, 20)), np.zeros((5, 20))
    found = pooled_bootstrap([(ones, zeros), (zeros[:2], zeros[:2])], "x")
    assert (found.value, found.seeds, found.questions) == (0.5, 2, 20)


def test_the_mean_of_two_alike_base_models_is_surer_than_one():
    rng = np.random.default_rng(1)
    pairs = [(scores(rng, 4, 0.05), scores(rng, 4, 0.0)) for _ in range(2)]
    low, high = pooled_bootstrap(pairs, "x").ci95
    alone = [pooled_bootstrap([pair], "x").ci95 for pair in pairs]
    assert high - low < min(upper - lower for lower, upper in alone)


def test_sides_turn_the_difference_and_its_interval():
    rng = np.random.default_rng(2)
    pairs = [(scores(rng, 3, 0.05), scores(rng, 3, 0.0)) for _ in range(2)]
    one = pooled_bootstrap(pairs, "x")
    other = pooled_bootstrap([(b_RQ, a_RQ) for a_RQ, b_RQ in pairs], "x")
    assert other.value == pytest.approx(-one.value)


def test_degrees_of_freedom_add_up_for_equal_variances_and_follow_the_largest():
    assert satterthwaite([1.0, 1.0], [4, 4]) == 8
    assert satterthwaite([1.0, 0.0], [4, 2]) == 4
    # (1 + 3)^2 / (1/2 + 9/4)
    assert satterthwaite([1.0, 3.0], [2, 4]) == pytest.approx(16 / 2.75)
    assert math.isinf(satterthwaite([0.0, 0.0], [2, 2]))


@pytest.mark.slow
def test_equals_are_told_apart_no_more_often_than_the_level():
    rng = np.random.default_rng(3)
    errors = 0
    for trial in range(400):
        pairs = [(scores(rng, 3, 0.0), scores(rng, 3, 0.0)) for _ in range(2)]
        errors += pooled_bootstrap(pairs, "trial", trial, resamples=1000).p_value < 0.05
    # 5% of 400 are 20, with a standard deviation of 4.4.
    assert 6 <= errors <= 33
