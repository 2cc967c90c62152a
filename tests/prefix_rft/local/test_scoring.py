"""How rows are cut into micro-batches; lengths are tokens of each row, prompt included."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from prefix_rft.local.scoring import Parts, Split, TokenBudget, Uneven


def _cut(split: Split, lengths: list[int]) -> list[list[int]]:
    return [part.tolist() for part in split(tensor(lengths, dtype=torch.long))]


def test_a_budget_packs_by_length() -> None:
    """2 and 3 fit 6 as two rows of 3; 4 would make them 12; 9 exceeds the budget and goes alone."""
    assert _cut(TokenBudget(6), [9, 3, 4, 2]) == [[3, 1], [2], [0]]


def test_equal_lengths_keep_their_order() -> None:
    assert _cut(TokenBudget(4), [2, 2, 2]) == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("count", "rows", "parts"),
    [(1, 3, [[0, 1, 2]]), (2, 5, [[0, 1, 2], [3, 4]]), (4, 2, [[0], [1]]), (3, 0, [])],
)
def test_parts_are_as_equal_as_can_be(count: int, rows: int, parts: list[list[int]]) -> None:
    assert _cut(Parts(count), [7] * rows) == parts


@pytest.mark.parametrize(
    ("rows", "sizes"), [(0, []), (1, [1]), (2, [1, 1]), (3, [1, 2]), (8, [1, 2, 4, 1]), (10, [1, 2, 4, 3])]
)
def test_uneven_parts_double(rows: int, sizes: list[int]) -> None:
    parts = _cut(Uneven(), [7] * rows)
    assert [len(part) for part in parts] == sizes
    assert [position for part in parts for position in part] == list(range(rows))


@given(
    lengths=st.lists(st.integers(1, 50), max_size=40),
    split=st.one_of(
        st.builds(TokenBudget, st.integers(1, 200)), st.builds(Parts, st.integers(1, 9)), st.just(Uneven())
    ),
)
def test_every_row_is_in_exactly_one_part(lengths: list[int], split: Split) -> None:
    parts = _cut(split, lengths)
    assert all(parts)
    assert sorted(position for part in parts for position in part) == list(range(len(lengths)))


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40), budget=st.integers(1, 200))
def test_no_part_of_several_rows_exceeds_the_budget(lengths: list[int], budget: int) -> None:
    for part in _cut(TokenBudget(budget), lengths):
        assert len(part) == 1 or len(part) * max(lengths[position] for position in part) <= budget
