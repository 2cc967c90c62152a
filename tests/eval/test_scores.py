"""Scores against hand-made numbers, exact fractions and simulated truths."""

from __future__ import annotations

from fractions import Fraction
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.scores import (
    avg_at_k,
    bootstrap_means,
    estimates,
    pass_at_k,
    pass_at_k_Q,
    standard_error_over_questions,
    standard_error_over_samples,
)
from prefix_rft import keyed

# Six questions with 0, 1, 1, 2, 3 and 4 of 4 samples correct.
SIX_QS = np.arange(4)[None, :] < np.array([0, 1, 1, 2, 3, 4])[:, None]


def test_six_questions_by_hand() -> None:
    assert avg_at_k(SIX_QS) == pytest.approx(11 / 24)  # .4583
    assert pass_at_k(SIX_QS, 1) == pytest.approx(11 / 24)
    assert pass_at_k(SIX_QS, 2) == pytest.approx((0 + 1 / 2 + 1 / 2 + 5 / 6 + 1 + 1) / 6)  # .6389
    assert pass_at_k(SIX_QS, 4) == pytest.approx(5 / 6)  # .8333


@pytest.mark.parametrize("k", [1, 2, 8, 64, 1000, 2047, 2048])
def test_pass_at_k_agrees_with_exact_fractions_at_2048_samples(k: int) -> None:
    n, counts = 2048, np.arange(2049)
    misses = comb(n, k)
    worst = Fraction(0)
    for correct, value in zip(counts, pass_at_k_Q(counts, n, k), strict=True):
        exact = 1 - Fraction(misses, comb(n, k))
        worst = max(worst, abs(Fraction(float(value)) - exact))
        left = n - int(correct)
        misses = misses * (left - k) // left if left > k else 0
    assert worst < Fraction(1, 10**15)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_chance_of_a_hit_without_replacement(case: tuple[int, int, int]) -> None:
    n, correct, k = case
    value = pass_at_k_Q(np.array([correct]), n, k)[0]
    assert value == pytest.approx(1 - comb(n - correct, k) / comb(n, k), abs=1e-15)
    assert value == 1 or n - correct >= k
    assert (value == 0) == (correct == 0)


@pytest.mark.parametrize(("counts", "k"), [([1], 0), ([1], 5), ([5], 1), ([-1], 1)])
def test_impossible_counts_and_k_are_refused(counts: list[int], k: int) -> None:
    with pytest.raises(ValueError, match="must lie between"):
        pass_at_k_Q(np.array(counts), 4, k)


def test_standard_errors_by_hand() -> None:
    counts = np.array([1, 3])
    assert standard_error_over_questions(counts / 4) == pytest.approx(0.25)  # sd .3536 over root 2
    assert standard_error_over_samples(counts, 4, 1) == pytest.approx(sqrt(2 * (3 / 16) / 3) / 2)
    assert standard_error_over_samples(counts, 4, 4) is None
    assert standard_error_over_questions(np.array([0.5])) is None


@pytest.mark.parametrize("k", [1, 2, 8])
def test_error_over_samples_is_what_reruns_show(k: int) -> None:
    rng = keyed.generator("reruns", k)
    chance_Q = rng.uniform(0, 0.3, 40)
    counts = rng.binomial(16, chance_Q, size=(3000, 40))
    spread = np.std([pass_at_k_Q(row, 16, k).mean() for row in counts])
    stated = [standard_error_over_samples(row, 16, k) for row in counts]
    ratio = np.sqrt(np.mean(np.square(np.array(stated, dtype=float)))) / spread
    # Unbiased for k = 1; the jackknife of a curved statistic may overstate, never understate.
    assert 0.96 < ratio < (1.04 if k == 1 else 1.25)


def test_bootstrap_belongs_to_its_key_alone() -> None:
    value_QK = keyed.generator("values").random((20, 2))
    first = bootstrap_means(value_QK, "a", 1, resamples=2500)
    assert first.shape == (2500, 2)
    np.testing.assert_array_equal(first, bootstrap_means(value_QK, "a", 1, resamples=2500))
    assert not np.array_equal(first, bootstrap_means(value_QK, "a", 2, resamples=2500))
    # Mean and spread of the mean of 20 draws with replacement.
    np.testing.assert_allclose(first.mean(axis=0), value_QK.mean(axis=0), atol=0.006)
    np.testing.assert_allclose(first.std(axis=0), value_QK.std(axis=0) / sqrt(20), rtol=0.06)


def test_estimates_put_everything_together() -> None:
    made = estimates(SIX_QS, (1, 2, 4))
    assert list(made) == ["avg@4", "pass@1", "pass@2", "pass@4"]
    assert made["avg@4"] == made["pass@1"]
    assert made["pass@4"].se_samples is None
    low, high = made["avg@4"].ci95 or (1, 0)
    assert 0 <= low < 11 / 24 < high <= 1
    assert made == estimates(SIX_QS, (1, 2, 4))


def test_one_question_has_no_error_over_questions() -> None:
    only = estimates(SIX_QS[3:4], (1,))["avg@4"]
    assert only.value == 0.5
    assert only.se_questions is None
    assert only.ci95 is None
    assert only.se_samples == pytest.approx(sqrt(0.25 / 3))
