"""The order of questions: whole epochs, no repetition within a batch, a function of seed and step alone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.errors import SettingsError
from prefix_rft.order import QuestionOrder

SIZES = st.integers(1, 40)


@given(seed=st.integers(0, 5), questions=SIZES, per_step=SIZES, keep_partial=st.booleans())
def test_an_epoch_takes_every_question_at_most_once(
    seed: int, questions: int, per_step: int, keep_partial: bool
) -> None:
    per_step = min(per_step, questions)
    order = QuestionOrder(seed, questions, per_step, keep_partial)
    for epoch in range(3):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        taken = [question for step in steps for question in order.at(step)]
        assert len(set(taken)) == len(taken)
        missing = 0 if keep_partial else questions % per_step
        assert len(taken) == questions - missing
        assert set(taken) <= set(range(questions))


def test_only_imitation_takes_the_smaller_last_batch() -> None:
    imitation = QuestionOrder(0, questions=10, per_step=4, keep_partial=True)
    assert [len(imitation.at(step)) for step in range(6)] == [4, 4, 2, 4, 4, 2]
    reinforcement = QuestionOrder(0, questions=10, per_step=4, keep_partial=False)
    assert [len(reinforcement.at(step)) for step in range(6)] == [4] * 6


def test_the_order_belongs_to_seed_and_step() -> None:
    orders = [QuestionOrder(seed, 64, 8, keep_partial=False) for seed in (0, 0, 1)]
    for order in orders[1:2]:
        order.at(100)  # asking for other steps first changes nothing
    same, again, other = ([order.at(step) for step in range(20)] for order in orders)
    assert same == again
    assert same != other
    assert {q for batch in same[:8] for q in batch} == {q for batch in same[8:16] for q in batch}
    assert same[:8] != same[8:16], "every epoch has an order of its own"


def test_all_places_are_equally_likely() -> None:
    """Question 0 falls into each of 8 batches about as often: 400 epochs, 50 +- 4 standard deviations."""
    order = QuestionOrder(3, 64, 8, keep_partial=False)
    counts = [sum(0 in order.at(epoch * 8 + batch) for epoch in range(400)) for batch in range(8)]
    assert sum(counts) == 400
    assert max(abs(count - 50) for count in counts) < 4 * math.sqrt(400 / 8 * 7 / 8)


def test_a_batch_that_the_data_cannot_fill_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"questions_per_step=9 exceeds the 8 training questions; lower"):
        QuestionOrder(0, 8, 9, keep_partial=False)
    assert QuestionOrder(0, 8, 9, keep_partial=True).steps_per_epoch == 1


def test_no_question_at_all_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"no training question left.*data\.fraction"):
        QuestionOrder(0, 0, 4, keep_partial=True)
