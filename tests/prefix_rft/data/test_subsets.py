"""Nested shares and held-out rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.data import Demonstration, Message, Question, load
from prefix_rft.data.subsets import count, cover, hold_out, ranked, take
from prefix_rft.settings import ChainData

SHARES = st.floats(0.001, 1.0)


def question(index: int, text: str | None = None, demonstrations: int = 1) -> Question:
    return Question(
        id=f"q{index}",
        messages=(Message(role="user", content=text or f"What is {index}?"),),
        answer=str(index),
        demonstrations=tuple(Demonstration(text=f"It is {index}.") for _ in range(demonstrations)),
    )


def test_counts_are_the_nearest_whole_number_and_at_least_one() -> None:
    assert [count(share, 1000) for share in (0, 0.0001, 0.01, 0.0105, 0.1, 1)] == [0, 1, 10, 11, 100, 1000]
    assert count(0.5, 0) == 0


def test_one_percent_lies_inside_ten_inside_all() -> None:
    questions = [question(index) for index in range(1000)]
    one, ten = ({item.id for item in take(questions, share, 0)} for share in (0.01, 0.1))
    assert (len(one), len(ten)) == (10, 100)
    assert one < ten


@given(SHARES, SHARES, st.integers(0, 5))
def test_smaller_shares_lie_inside_larger(a: float, b: float, seed: int) -> None:
    questions = [question(index) for index in range(57)]
    small, large = (take(questions, share, seed) for share in sorted((a, b)))
    assert {item.id for item in small} <= {item.id for item in large}
    assert len(small) == count(min(a, b), 57)


def test_a_share_keeps_the_order_and_does_not_depend_on_it() -> None:
    questions = [question(index) for index in range(50)]
    kept = take(questions, 0.3, 0)
    assert list(kept) == [item for item in questions if item in kept]
    assert set(take(questions[::-1], 0.3, 0)) == set(kept)


def test_another_seed_takes_others() -> None:
    questions = [question(index) for index in range(100)]
    assert take(questions, 0.1, 0) != take(questions, 0.1, 1)


def test_coverage_takes_demonstrations_away_and_leaves_questions() -> None:
    questions = [question(index, demonstrations=index % 2) for index in range(100)]
    covered = cover(questions, 0.1, 0)
    assert [item.id for item in covered] == [item.id for item in questions]
    assert sum(bool(item.demonstrations) for item in covered) == 5, "a tenth of the 50 that have any"
    assert not any(item.demonstrations for item in cover(questions, 0, 0))


def test_load_applies_both_shares_to_training_only() -> None:
    dataset = load(ChainData(fraction=0.25, demonstration_coverage=0.5))
    assert len(dataset.train) == 256
    assert sum(bool(item.demonstrations) for item in dataset.train) == 128
    assert (len(dataset.validation), len(dataset.test)) == (256, 512)


def test_held_out_rows_are_exact_disjoint_and_independent_of_the_order() -> None:
    questions = [question(index) for index in range(100)]
    held = hold_out(questions, validation=10, test=20)
    assert (len(held.train), len(held.validation), len(held.test)) == (70, 10, 20)
    assert len({item.id for item in (*held.train, *held.validation, *held.test)}) == 100
    assert {item.split for item in held.validation} == {"validation"}
    again = hold_out(questions[::-1], validation=10, test=20)
    assert {item.id for item in again.test} == {item.id for item in held.test}


def test_fewer_validation_questions_leave_the_test_questions_alone() -> None:
    questions = [question(index) for index in range(100)]
    assert hold_out(questions, 10, 20).test == hold_out(questions, 5, 20).test


def test_a_question_asked_under_several_ids_stands_on_one_side() -> None:
    questions = [question(index, text=f"What is {index % 10}?") for index in range(40)]
    held = hold_out(questions, validation=2, test=3)
    assert (len(held.validation), len(held.test), len(held.train)) == (2, 3, 20)
    assert len(held.repeats) == 15, "five held-out questions stand in three more rows each"
    trained = {item.text for item in held.train}
    assert trained.isdisjoint(item.text for item in (*held.validation, *held.test))


def test_ranks_are_fixed() -> None:
    assert ranked(["a", "b", "c", "d"], "name", 0) == ranked(["d", "c", "b", "a"], "name", 0)
    assert ranked([f"q{index}" for index in range(6)], "fraction", 0) == ["q0", "q5", "q2", "q1", "q4", "q3"]
