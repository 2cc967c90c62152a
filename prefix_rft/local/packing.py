"""The distinct tokens of right-padded rows: no padding, and what several rows begin with only once.

A token's hidden state depends on the tokens before it only, so rows that begin alike agree for as long as they do:
in the prompt they share, and in the responses until they part. Rows that are the same throughout become one.

Axes: B rows, L columns, U rows with tokens of their own, n distinct tokens whose states are needed, e distinct response
tokens, r response tokens, row by row, o = B * L places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from prefix_rft.local.windows import Ints, Window, windows

Bools = NDArray[np.bool_]

_NOTHING = -1
"""Stands where a row has ended; of all values the last in the order of bytes."""


@dataclass(frozen=True)
class Packed:
    """Distinct input tokens, what they attend to, and which of their states predict the responses."""

    token_n: Ints
    """Token ids."""
    position_n: Ints
    """Column of each, which is its position."""
    windows: list[Window]
    """Attention over them, each asking once."""
    source_e: Ints
    """Index, among the distinct tokens, of the one whose state predicts each distinct response token."""
    target_e: Ints
    """Token ids of the distinct response tokens."""
    response_r: Ints
    """Which of the distinct ones each response token is."""


def pack(ids_BL: Tensor, prompt_length_B: Tensor, response_length_B: Tensor) -> Packed:
    """Pack rows of a prompt (one token at least) and a response; the last token of a row is only ever a target."""
    prompt_B, response_B = prompt_length_B.cpu().numpy(), response_length_B.cpu().numpy()
    shared = _Shared.of(ids_BL.cpu().numpy(), prompt_B + response_B)
    size, columns = shared.ids_BL.size, shared.ids_BL.shape[1]
    input_BL = shared.inputs_BL()
    slot_o = _numbers(size, np.flatnonzero(input_BL))
    kept_B = input_BL.any(1)
    start_U = input_BL[kept_B].argmax(1)

    response_r = shared.node_BL[shared.rank_B][_between(prompt_B, prompt_B + response_B, columns)]
    edge_e = _distinct(size, response_r)
    return Packed(
        token_n=shared.ids_BL[input_BL],
        position_n=input_BL.nonzero()[1],
        windows=windows(slot_o[shared.node_BL[kept_B]], start_U, start_U + input_BL[kept_B].sum(1)),
        source_e=slot_o[shared.node_BL.flat[edge_e - 1]],
        target_e=shared.ids_BL.flat[edge_e],
        response_r=_numbers(size, edge_e)[response_r],
    )


@dataclass(frozen=True)
class _Shared:
    """Rows in an order in which those that begin alike are neighbours; the first with a beginning owns its token."""

    ids_BL: Ints
    """The sorted rows, `_NOTHING` beyond their ends."""
    rank_B: Ints
    """Where each row went."""
    own_BL: Bools
    """Whether a row is the first with the tokens up to here."""
    node_BL: Ints
    """Index in the flattened [B, L] of the owned token that each token repeats."""

    @classmethod
    def of(cls, ids_BL: Ints, length_B: Ints) -> _Shared:
        rows, columns = ids_BL.shape
        ids_BL = np.where(_between(np.zeros_like(length_B), length_B, columns), ids_BL, _NOTHING)
        order_B = (
            np.ascontiguousarray(ids_BL).view(f"V{ids_BL.itemsize * columns}")[:, 0].argsort(kind="stable")
        )
        ids_BL = ids_BL[order_B]
        own_BL = ids_BL != _NOTHING
        own_BL[1:] &= ~np.logical_and.accumulate(ids_BL[1:] == ids_BL[:-1], axis=1)
        owner_BL = np.maximum.accumulate(np.where(own_BL, np.arange(rows)[:, None], 0), axis=0)
        return cls(ids_BL, order_B.argsort(), own_BL, owner_BL * columns + np.arange(columns))

    def inputs_BL(self) -> Bools:
        """Owned tokens that another token follows.

        In this order a row that ends comes after those that go on, so the owner goes on if any row does.
        """
        input_BL = self.own_BL.copy()
        input_BL[:, -1] = False
        input_BL[:, :-1] &= self.ids_BL[:, 1:] != _NOTHING
        return input_BL


def _between(start_B: Ints, end_B: Ints, columns: int) -> Bools:
    """Whether each column is in its row's range; [B, columns]."""
    column_L = np.arange(columns)
    return (column_L >= start_B[:, None]) & (column_L < end_B[:, None])


def _distinct(size: int, chosen: Ints) -> Ints:
    """The distinct ones among numbers under `size`, in order; faster than to sort them."""
    flags = np.zeros(size, bool)
    flags[chosen] = True
    return np.flatnonzero(flags)


def _numbers(size: int, chosen: Ints) -> Ints:
    """Each chosen number's place in the list of them, 0 for all others; [size]."""
    numbers = np.zeros(size, np.int64)
    numbers[chosen] = np.arange(len(chosen))
    return numbers
