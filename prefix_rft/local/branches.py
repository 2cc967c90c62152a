"""Rows that have begun alike are decoded as one branch until they part: equal histories have equal logits.

The rollouts of a question share its prompt and often much of what they write.

Axes: B live rows, N places of the decoder, each with one branch or none, C branches, L positions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_CLOSE_BELOW = 0.95
"""Places without a branch are closed up once less than this share of them is in use."""


class Branches:
    """Which rows are still written, and at which place of the decoder each one's branch is."""

    def __init__(self, ids_BL: Ints) -> None:
        """Begin with rows of which L tokens are known; the last of them goes in next."""
        distinct_CL, place_B = np.unique(ids_BL, axis=0, return_inverse=True)
        self.row_B: Ints = np.arange(len(ids_BL))
        """The live rows."""
        self.place_B: Ints = place_B.reshape(-1)
        """Where each one's branch is."""
        self.token_N: Ints = distinct_CL[:, -1]
        """The last token of the branch at each place; anything where there is none."""
        self.known_CL = distinct_CL[:, :-1]
        """What came before it, at the beginning."""
        self._parted = False
        """Whether each row has its own branch: then it has it to the end."""

    def advance(self, going_B: NDArray[np.bool_], token_B: Ints) -> tuple[Ints, Ints]:
        """Drop the rows that end, and part those of a branch that got different tokens.

        Args:
            going_B: the live rows that go on.
            token_B: the next token of every live row.

        Returns:
            Places to fill, and the places whose histories they get; no place is in both.
        """
        self.row_B, before_B, token_B = self.row_B[going_B], self.place_B[going_B], token_B[going_B]
        if self._parted:
            parent_C, token_C, child_B = before_B, token_B, np.arange(len(before_B))
        else:
            parent_C, token_C, child_B = _children(before_B, token_B)
            self._parted = len(parent_C) == len(child_B)
        place_C = _places(parent_C, len(self.token_N))
        self.place_B = place_C[child_B]
        self.token_N = np.zeros(place_C.max(initial=-1) + 1, np.int64)
        self.token_N[place_C] = token_C
        moved = place_C != parent_C
        return place_C[moved], parent_C[moved]


def _children(parent_B: Ints, token_B: Ints) -> tuple[Ints, Ints, Ints]:
    """Parents and tokens of the new branches, by parent; and which of them each row is on."""
    vocabulary = token_B.max(initial=0) + 1
    key_C, child_B = np.unique(parent_B * vocabulary + token_B, return_inverse=True)
    return key_C // vocabulary, key_C % vocabulary, child_B


def _places(parent_C: Ints, places: int) -> Ints:
    """A place for each branch: the first of a parent stays there, so that few histories are moved."""
    place_C = parent_C.copy()
    homeless_C = np.zeros(len(parent_C), bool)
    homeless_C[1:] = parent_C[1:] == parent_C[:-1]
    if len(parent_C) < _CLOSE_BELOW * places:
        homeless_C |= parent_C >= len(parent_C)
    if not homeless_C.any():
        return place_C
    free = np.ones(places + len(parent_C), bool)
    free[parent_C] = False
    place_C[homeless_C] = np.flatnonzero(free)[: homeless_C.sum()]
    return place_C
