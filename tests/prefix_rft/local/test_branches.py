"""Branches of rows that have begun alike."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.local.branches import Branches


def advance(branches: Branches, going: list[bool], tokens: list[int]) -> list[tuple[int, int]]:
    """Targets and sources of the moves, by target."""
    target, source = branches.advance(np.array(going), np.array(tokens))
    return sorted(zip(target.tolist(), source.tolist(), strict=True))


def test_equal_rows_are_one_branch_until_they_part() -> None:
    branches = Branches(np.array([[5, 6], [5, 6], [5, 7]]))
    assert branches.known_CL.tolist() == [[5], [5]]
    assert branches.place_B.tolist() == [0, 0, 1]
    assert branches.token_N.tolist() == [6, 7]
    assert advance(branches, [True] * 3, [1, 1, 2]) == []
    assert branches.place_B.tolist() == [0, 0, 1]
    assert advance(branches, [True] * 3, [3, 4, 5]) == [(2, 0)]
    assert branches.place_B.tolist() == [0, 2, 1]
    assert branches.token_N.tolist() == [3, 5, 4]


def test_a_free_place_is_taken_before_a_new_one() -> None:
    branches = Branches(np.array([[1], [2], [2]]))
    assert advance(branches, [False, True, True], [0, 8, 9]) == [(0, 1)]
    assert branches.place_B.tolist() == [1, 0]
    assert branches.token_N.tolist() == [9, 8]


def test_places_are_closed_up_when_branches_end() -> None:
    branches = Branches(np.array([[1], [2], [3]]))
    assert advance(branches, [False, True, True], [0, 8, 9]) == [(0, 2)]
    assert branches.place_B.tolist() == [1, 0]
    assert advance(branches, [False, False], [0, 0]) == []
    assert len(branches.row_B) == len(branches.token_N) == 0


@given(st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=8), st.randoms())
def test_every_row_has_its_own_history(rows: list[list[int]], random: object) -> None:
    """Places are moved as the decoder moves them, and hold at every step what their rows have so far."""
    draw = np.random.default_rng(random.randrange(2**32))  # type: ignore[attr-defined]
    table_BL = np.array(rows)
    branches = Branches(table_BL[:, :2])
    held_NL = np.full((len(rows), 6), -1)
    held_NL[: len(branches.known_CL), :1] = branches.known_CL
    for position in range(1, 5):
        held_NL[: len(branches.token_N), position] = branches.token_N
        for row, place in zip(branches.row_B, branches.place_B, strict=True):
            assert held_NL[place, : position + 1].tolist() == rows[row][: position + 1]
        alive = {tuple(rows[row][: position + 1]) for row in branches.row_B}
        assert len(set(branches.place_B.tolist())) == len(alive)
        assert len(branches.token_N) <= max(len(alive) / 0.95, len(alive))
        going_B = draw.random(len(branches.row_B)) < 0.8
        target, source = branches.advance(going_B, table_BL[branches.row_B, position + 1])
        assert not set(target.tolist()) & set(source.tolist())
        held_NL[target] = held_NL[source]
