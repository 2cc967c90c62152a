"""Comparisons: hand-made p-values, and simulations in which the truth is known."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.compare import SignTest, holm, paired_bootstrap, sign_test
from eval.scores import Floats
from prefix_rft import keyed


def simulate(
    rng: np.random.Generator, *, seeds: int, seed_effect: float, own_effect: float = 0.5, ahead: float = 0.0
) -> tuple[Floats, Floats]:
    """Two methods' avg@8 on 100 questions; `ahead` moves the first one's log-odds, the effects vary them."""
    difficulty_Q = rng.normal(0, 1.5, 100)

    def measure(shift: float) -> Floats:
        own_Q = rng.normal(0, own_effect, 100)
        log_odds_RQ = difficulty_Q + own_Q + rng.normal(0, seed_effect, (seeds, 1)) + shift
        return rng.binomial(8, 1 / (1 + np.exp(-log_odds_RQ))) / 8

    return measure(ahead), measure(0.0)


def share_significant(trials: int, **truth: float) -> float:
    rng = keyed.generator("null", *sorted(f"{k}={v}" for k, v in truth.items()))
    p_values = [
        paired_bootstrap(*simulate(rng, **truth), trial, resamples=999).p_value  # type: ignore[arg-type]
        for trial in range(trials)
    ]
    return float(np.mean(np.array(p_values) < 0.05))


@pytest.mark.parametrize(
    ("seeds", "seed_effect", "own_effect", "least"),
    [
        (1, 0.0, 0.5, 0.03),
        (3, 0.0, 0.5, 0.005),
        (3, 0.0, 0.0, 0.02),
        (3, 0.3, 0.5, 0.02),
        (3, 1.0, 0.5, 0.03),
    ],
)
def test_equals_differ_in_about_one_case_of_twenty_and_not_in_more(
    seeds: int, seed_effect: float, own_effect: float, least: float
) -> None:
    found = share_significant(500, seeds=seeds, seed_effect=seed_effect, own_effect=own_effect)
    assert least <= found <= 0.075  # 5% and two and a half standard errors of 500 trials


def test_a_clear_difference_is_found() -> None:
    assert share_significant(100, seeds=3, seed_effect=0.05, ahead=1.0) >= 0.95
    assert share_significant(100, seeds=1, seed_effect=0.0, ahead=0.5) >= 0.8


def test_seeds_that_disagree_widen_the_interval() -> None:
    a_RQ = np.tile(keyed.generator("q").random(50), (3, 1))
    b_RQ = np.full((3, 50), 0.5)
    shaken = paired_bootstrap(a_RQ + np.array([[-0.5], [0.0], [0.5]]), b_RQ, 0)
    calm = paired_bootstrap(a_RQ, b_RQ, 0)
    assert shaken.value == pytest.approx(calm.value)
    assert np.diff(shaken.ci95) > 2 * np.diff(calm.ci95)
    # Three seeds .5 apart, beside which questions hardly count: the t interval of 2 degrees, 4.303 * .5 / sqrt(3).
    assert np.diff(shaken.ci95) == pytest.approx(2 * 4.303 * 0.5 / np.sqrt(3), rel=0.06)


def test_pairing_removes_the_difficulty_that_both_share() -> None:
    rng = keyed.generator("pairs")
    difficulty_RQ = rng.random((1, 80)) * 0.8
    a_RQ = difficulty_RQ + 0.02 + rng.normal(0, 0.01, (1, 80))
    paired = paired_bootstrap(a_RQ, difficulty_RQ, 0)
    mispaired = paired_bootstrap(a_RQ, difficulty_RQ[:, ::-1], 0)
    assert paired.p_value < 0.001
    assert mispaired.p_value > 0.2


def test_the_same_is_no_difference() -> None:
    a_RQ = keyed.generator("same").random((3, 40))
    same = paired_bootstrap(a_RQ, a_RQ, 0)
    # On 40 questions, a share of 1 - .025^(1/40) may differ and be missed.
    assert (same.value, same.p_value) == (0.0, 1.0)
    assert same.ci95 == pytest.approx((-0.0881, 0.0881), abs=1e-4)
    rounded = paired_bootstrap(a_RQ + 1e-16, a_RQ, 0)
    assert rounded.p_value == 1.0


def test_swapping_the_methods_turns_the_sign() -> None:
    a_RQ, b_RQ = simulate(keyed.generator("swap"), seeds=3, seed_effect=0.1, ahead=0.3)
    there, back = paired_bootstrap(a_RQ, b_RQ, 7), paired_bootstrap(b_RQ, a_RQ, 7)
    assert there.value == pytest.approx(-back.value)
    assert there.ci95[0] == pytest.approx(-back.ci95[1], rel=1e-9)
    assert there.p_value == back.p_value
    assert there == paired_bootstrap(a_RQ, b_RQ, 7)
    assert there != paired_bootstrap(a_RQ, b_RQ, 8)
    assert (there.seeds, there.questions) == (3, 100)


def test_ten_thousand_resamples_take_under_half_a_second() -> None:
    rng = keyed.generator("speed")
    a_RQ, b_RQ = rng.random((3, 512)), rng.random((3, 512))
    start = time.process_time()
    paired_bootstrap(a_RQ, b_RQ, 0, resamples=10_000)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(("a_shape", "b_shape"), [((3, 10), (2, 10)), ((3, 10), (3, 9)), ((10,), (10,))])
def test_unequal_seeds_or_questions_are_refused(a_shape: tuple[int, ...], b_shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="same seeds and questions"):
        paired_bootstrap(np.zeros(a_shape), np.zeros(b_shape), 0)


def test_one_question_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="at least two questions"):
        paired_bootstrap(np.zeros((3, 1)), np.ones((3, 1)), 0)


def test_sign_test_by_hand() -> None:
    # Five wins, one loss, one tie: 2 * (1 + 6) / 64.
    a_RQ = np.array([[1, 1, 1, 1, 1, 0, 0.5]])
    b_RQ = np.array([[0, 0, 0, 0, 0, 1, 0.5]])
    assert sign_test(a_RQ, b_RQ) == SignTest(wins=5, losses=1, ties=1, p_value=14 / 64)
    assert sign_test(b_RQ, a_RQ).p_value == 14 / 64
    assert sign_test(a_RQ, a_RQ) == SignTest(wins=0, losses=0, ties=7, p_value=1.0)


def test_sign_test_counts_questions_not_seeds() -> None:
    a_RQ = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert sign_test(a_RQ, np.full((3, 2), 0.5)) == SignTest(wins=1, losses=1, ties=0, p_value=1.0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_raw_and_the_bonferroni_p_value(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for raw, held in zip(p_values, adjusted, strict=True):
        assert raw <= held <= min(1.0, raw * len(p_values)) * (1 + 1e-12)
    by_size = [held for _, held in sorted(zip(p_values, adjusted, strict=True))]
    assert by_size == sorted(by_size)
