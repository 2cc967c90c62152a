"""Intervals over questions: Wilson's by hand, edges, and what many benchmarks' average adds up to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.intervals import Spread, average, interval, intervals_over_questions, spread, student_t
from eval.scores import bootstrap_means
from prefix_rft import keyed


def test_ten_of_twenty_by_hand() -> None:
    # Wilson, 10 of 20: 1/2 -+ z / (2 sqrt(20 + z^2)), z = 1.96.
    value_Q1 = (np.arange(20) < 10).astype(float)[:, None]
    [(low, high)] = intervals_over_questions(value_Q1)
    assert (low, high) == pytest.approx((0.2993, 0.7007), abs=2e-4)


def test_a_share_of_zeros_and_ones_has_wilsons_interval() -> None:
    # 45 of 500, Wilson's score interval (0.0679, 0.1183).
    value_Q1 = (np.arange(500) < 45).astype(float)[:, None]
    [(low, high)] = intervals_over_questions(value_Q1)
    assert (low, high) == pytest.approx((0.0679, 0.1183), abs=3e-4)


def test_an_even_spread_has_students_interval() -> None:
    # Mean 1/2, no lean: about 2.045 standard errors of 30 questions to either side.
    value_Q = np.tile([0.4, 0.6], 15)
    low, high = interval(spread(value_Q))
    half = 2.045 * value_Q.std(ddof=1) / math.sqrt(30)
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), rel=5e-3)


def test_all_alike_is_not_all_certain() -> None:
    [(low, high)] = intervals_over_questions(np.ones((30, 1)))
    assert high == 1
    assert low**30 == pytest.approx(0.025)  # a share of 1 - low would stay unseen in 2.5% of draws of 30


def test_one_question_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two questions"):
        intervals_over_questions(np.ones((1, 1)))


@given(st.lists(st.integers(0, 8), min_size=2, max_size=40))
def test_intervals_hold_the_mean_and_stay_between_zero_and_one(correct: list[int]) -> None:
    value_Q = np.array(correct) / 8
    low, high = interval(spread(value_Q))
    assert 0 <= low <= value_Q.mean() + 1e-12
    assert value_Q.mean() - 1e-12 <= high <= 1
    assert low < high


@given(st.lists(st.integers(0, 8), min_size=2, max_size=40))
def test_wrong_for_right_mirrors_the_interval(correct: list[int]) -> None:
    value_Q = np.array(correct) / 8
    low, high = interval(spread(value_Q))
    assert interval(spread(1 - value_Q)) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_an_average_weighs_benchmarks_alike() -> None:
    small, large = Spread(0.2, 0.0036, 29, 30, False), Spread(0.8, 0.0004, 499, 500, False)
    both = average([small, large])
    assert both.mean == pytest.approx(0.5)
    assert both.variance == pytest.approx(0.001)  # (0.0036 + 0.0004) / 4
    # Welch and Satterthwaite: .001^2 / (.0009^2 / 29 + .0001^2 / 499).
    assert both.degrees == pytest.approx(35.78, abs=0.01)
    assert average([small]) == small


def test_an_average_has_the_width_of_a_bootstrap_within_each_benchmark() -> None:
    rng = keyed.generator("strata")
    values = [rng.beta(0.6, 0.9, questions) for questions in (30, 83, 272)]
    drawn_B = np.mean([bootstrap_means(v[:, None], "b", i)[:, 0] for i, v in enumerate(values)], axis=0)
    low, high = np.quantile(drawn_B, [0.025, 0.975])
    own_low, own_high = interval(average([spread(v) for v in values]))
    assert own_high - own_low == pytest.approx(high - low, rel=0.05)
    assert own_low == pytest.approx(low, abs=0.006)


def test_students_t_quantiles() -> None:
    # Tables: t(.975) with 1, 2, 3, 10 and 29 degrees of freedom.
    assert student_t(0.975, 1) == pytest.approx(12.7062, rel=1e-5)
    assert student_t(0.975, 2) == pytest.approx(4.30265, rel=1e-5)
    assert student_t(0.975, 3) == pytest.approx(3.1824, rel=2e-3)
    assert student_t(0.975, 10) == pytest.approx(2.2281, rel=1e-4)
    assert student_t(0.975, 29) == pytest.approx(2.0452, rel=1e-4)
