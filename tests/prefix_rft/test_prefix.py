"""Cutting a demonstration: bounds worked out by hand, and draws that belong to their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.errors import DataError
from prefix_rft.prefix import cut, prefix_length
from prefix_rft.rollout import StepContext
from prefix_rft.settings.schedule import ConstantPrefix, CosinePrefix, PrefixSchedule, UniformPrefix

AT = StepContext(seed=3, step=10, total_steps=100)


def _draw(
    schedule: PrefixSchedule,
    question: str = "q",
    prefix_id: int = 0,
    at: StepContext = AT,
    length: int = 1000,
) -> int:
    return prefix_length(
        schedule,
        length,
        question_id=question,
        prefix_id=prefix_id,
        at=at,
        min_tokens=1,
        max_response_tokens=10_000,
    )


@pytest.mark.parametrize(
    ("share", "length", "min_tokens", "budget", "expected"),
    [
        (0.5, 9, 1, 100, 4),
        (0.29, 100, 1, 100, 29),  # 0.29 * 100 = 28.999999999999996
        (0.01, 10, 1, 100, 1),
        (0.01, 10, 3, 100, 3),
        (1.0, 10, 1, 100, 9),
        (0.95, 100, 1, 50, 49),
        (0.5, 5, 20, 100, 4),
        (0.5, 2, 1, 2, 1),
    ],
)
def test_cut(share: float, length: int, min_tokens: int, budget: int, expected: int) -> None:
    assert cut(share, length, min_tokens, budget) == expected


@pytest.mark.parametrize(("length", "budget"), [(1, 100), (100, 1), (0, 100)])
def test_nothing_to_imitate_or_to_write_is_refused(length: int, budget: int) -> None:
    with pytest.raises(DataError, match="both must be at least 2"):
        cut(0.5, length, 1, budget)


def test_a_refusal_names_the_question() -> None:
    with pytest.raises(DataError, match="question 'gsm-7'"):
        _draw(ConstantPrefix(), question="gsm-7", length=1)


@given(
    share=st.floats(0, 1),
    length=st.integers(2, 10_000),
    min_tokens=st.integers(1, 200),
    budget=st.integers(2, 10_000),
)
def test_something_is_imitated_and_something_is_left_to_write(
    share: float, length: int, min_tokens: int, budget: int
) -> None:
    kept = cut(share, length, min_tokens, budget)
    assert 1 <= kept <= length - 1
    assert kept < budget


@given(st.permutations(range(12)))
def test_draws_do_not_depend_on_the_order_of_the_batch(order: list[int]) -> None:
    expected = [_draw(UniformPrefix(), f"q{i}", i % 3) for i in range(12)]
    drawn = {i: _draw(UniformPrefix(), f"q{i}", i % 3) for i in order}
    assert [drawn[i] for i in range(12)] == expected


def test_every_part_of_the_name_counts() -> None:
    schedule = UniformPrefix()
    draws = [
        _draw(schedule),
        _draw(schedule, question="r"),
        _draw(schedule, prefix_id=1),
        _draw(schedule, at=StepContext(seed=4, step=10, total_steps=100)),
        _draw(schedule, at=StepContext(seed=3, step=11, total_steps=100)),
    ]
    assert len(set(draws)) == len(draws)
    assert _draw(schedule) == draws[0]


def test_the_papers_first_prefix_is_nearly_the_whole_demonstration() -> None:
    assert _draw(CosinePrefix(), at=StepContext(seed=0, step=0, total_steps=100), length=200) == 190
