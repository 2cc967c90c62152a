"""maj@k: by hand, against every subset, and with the error of drawing said."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.majority import Ballot, ballot, ballots, chance_right, majorities, majority_at

Answers = list[str | None]


def cast(answers: Answers, right: str = "r") -> Ballot:
    return ballot(answers, [answer is not None and answer in right for answer in answers])


def every_subset(answers: Answers, right: str, k: int) -> Fraction:
    """The rule, word for word."""
    won = []
    for subset in itertools.combinations(answers, k):
        votes = {answer: subset.count(answer) for answer in subset if answer is not None}
        front = [answer for answer, count in votes.items() if count == max(votes.values())]
        won.append(Fraction(sum(answer in right for answer in front), len(front)) if front else Fraction(0))
    return sum(won, Fraction(0)) / len(won)


def test_two_against_one_wins() -> None:
    assert chance_right(cast(["r", "r", "x"]), 3) == 1
    assert chance_right(cast(["r", "x", "x"]), 3) == 0


def test_two_of_three_by_hand() -> None:
    # Of r, r, x: {r, r} wins; {r, x} twice is a tie: (1 + 1/2 + 1/2) / 3.
    assert chance_right(cast(["r", "r", "x"]), 2) == pytest.approx(2 / 3)
    # One voter is avg@1.
    assert chance_right(cast(["r", "r", "x"]), 1) == pytest.approx(2 / 3)


def test_three_answers_tie_by_lot() -> None:
    assert chance_right(cast(["r", "x", "y"]), 3) == pytest.approx(1 / 3)


def test_silence_does_not_vote() -> None:
    assert chance_right(cast(["r", None, None, None]), 4) == 1
    # Of r and three silent, two voters hold r in 3 of 6 draws; nobody votes in the others.
    assert chance_right(cast(["r", None, None, None]), 2) == pytest.approx(1 / 2)
    assert chance_right(cast([None, None]), 1) == 0


def test_different_strings_are_different_candidates() -> None:
    # 1/2 and 0.5 are both right and split their votes: each of the three ties or loses to x x.
    answers: Answers = ["1/2", "0.5", "x", "x"]
    assert chance_right(ballot(answers, [True, True, False, False]), 4) == 0


def test_a_verdict_that_timed_out_counts_by_share() -> None:
    assert chance_right(ballot(["r", "r", "x"], [True, False, False]), 3) == pytest.approx(1 / 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["r", "s", "x", "y", None]), min_size=1, max_size=8), st.data())
def test_every_subset_agrees(answers: Answers, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(answers)))
    assert chance_right(cast(answers, "rs"), k) == pytest.approx(
        float(every_subset(answers, "rs", k)), abs=1e-12
    )


def test_k_out_of_range_is_refused() -> None:
    for k in (0, 3):
        with pytest.raises(ValueError, match="between 1 and 2"):
            chance_right(cast(["r", "x"]), k)


def test_voting_helps_where_most_are_right_and_harms_where_few_are() -> None:
    likely, unlikely = (
        ballot(["r"] * 20 + ["x"] * 12, [True] * 20 + [False] * 12),
        cast(["r"] * 12 + ["x"] * 20),
    )
    values = [chance_right(likely, k) for k in majority_at(32)]
    assert values[0] > 20 / 32
    assert values == sorted(values)
    assert values[-1] == 1
    assert [chance_right(unlikely, k) for k in majority_at(32)] == pytest.approx([1 - v for v in values])


def test_drawn_subsets_agree_with_counted_ones_within_the_error_said() -> None:
    # Twice the samples at the same shares: 128 are drawn. Two answers, so the truth is hypergeometric.
    from scipy.stats import hypergeom

    many = [cast(["r"] * 70 + ["x"] * 58)] * 20
    for found in majorities(many, (8, 32), seed=3):
        wins = hypergeom(128, 70, found.k)
        truth = wins.sf(found.k // 2) + wins.pmf(found.k // 2) / 2
        assert found.se_draws > 0
        assert abs(found.estimate.value - truth) < 4 * found.se_draws
    assert majorities(many, (8, 32), seed=3) == majorities(many, (8, 32), seed=3)
    assert majorities(many, (8,), seed=3) != majorities(many, (8,), seed=4)


def test_all_of_many_samples_need_no_draw() -> None:
    [found] = majorities([cast(["r"] * 70 + ["x"] * 58), cast(["x"] * 100 + [None] * 28)], (128,), seed=0)
    assert (found.estimate.value, found.se_draws) == (0.5, 0.0)


def test_the_mean_over_questions_has_its_error_and_interval() -> None:
    [found] = majorities([cast(["r"] * 4), cast(["x"] * 4)], (4,), seed=0)
    assert found.estimate.value == 0.5
    assert found.estimate.se_questions == pytest.approx(0.5)
    assert found.estimate.se_samples is None
    assert found.estimate.ci95 is not None


def test_ballots_of_an_evaluation() -> None:
    correct_QS = np.array([[True, False, False], [False, False, False]])
    first, second = ballots(["7", "8", "8", None, "7", None], correct_QS)
    assert first == Ballot(votes=(2, 1), right=(0.0, 1.0), silent=0)
    assert second == Ballot(votes=(1,), right=(0.0,), silent=2)


def test_ballots_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of samples"):
        majorities([cast(["r"]), cast(["r", "r"])], (1,), seed=0)


def test_which_k_are_reported() -> None:
    assert majority_at(1) == ()
    assert majority_at(6) == (4, 6)
    assert majority_at(32) == (4, 8, 16, 32)
