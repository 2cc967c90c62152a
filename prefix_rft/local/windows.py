"""Which tokens attend to which, when rows that begin alike share tokens: every distinct token asks once.

Rows are sorted, and a row's own tokens are those after the beginning that an earlier row has already. Own tokens are
numbered row by row, so those of neighbouring rows are a range. A bundle is such a range: its tokens are the queries,
and the keys are they and what comes before the first of them. Rows are put into one bundle while that wastes little:
fewer and larger products are faster than many small ones.

Axes: U rows, W columns, P pieces (own tokens of one row), n own tokens, R bundles of one window, A columns before a
bundle, Q queries, K = A + Q keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_PIECE = 64
"""Most queries of a piece: the first ones of a long row need no later keys."""
_BUNDLE = 256
"""Most queries of a bundle."""
_WASTE = 1.5
"""Most products of a bundle, as a multiple of those of its pieces each for itself."""
_UNEVEN = 1.25
"""Most queries of a bundle, as a multiple of those of the smallest in its window."""
_PRODUCTS = 1 << 20
"""Most products of a window (one bundle at least)."""


@dataclass(frozen=True)
class Window:
    """Queries and keys of several bundles."""

    query_RQ: Ints
    """Tokens that ask; -1 is padding."""
    key_RK: Ints
    """Tokens that are asked; anything where the mask hides them."""
    mask_RQK: NDArray[np.float32]
    """Added to the scores: 0 where the key is the query or comes before it, minus infinity elsewhere."""


@dataclass(frozen=True)
class _Bundle:
    row: int
    before: int
    """Columns of the row before the first query."""
    start: int
    end: int
    """The range of own tokens."""

    @property
    def queries(self) -> int:
        return self.end - self.start


def windows(slot_UW: Ints, start_U: Ints, end_U: Ints) -> list[Window]:
    """Windows in which every own token asks once.

    Args:
        slot_UW: which token stands at each place.
        start_U: column of each row's first own token.
        end_U: column after its last.
    """
    own_U = end_U - start_U
    row_n = np.repeat(np.arange(len(own_U)), own_U)
    column_n = np.arange(len(row_n)) - np.repeat(own_U.cumsum() - end_U, own_U)
    groups = _alike(list(_bundles(_pieces(start_U, end_U))))
    return [_window(group, slot_UW, row_n, column_n) for group in groups]


def _pieces(start_U: Ints, end_U: Ints) -> Iterator[tuple[int, int, int]]:
    """Row, first column and end of each piece."""
    for row, (start, end) in enumerate(zip(start_U.tolist(), end_U.tolist(), strict=True)):
        for first in range(start, end, _PIECE):
            yield row, first, min(first + _PIECE, end)


def _bundles(pieces: Iterator[tuple[int, int, int]]) -> Iterator[_Bundle]:
    """Neighbouring pieces together, as long as they are worth it."""
    done = queries = keys = alone = row = before = 0
    for next_row, first, end in pieces:
        more = end - first
        alone += more * end
        if queries and (queries + more > _BUNDLE or (queries + more) * (keys + more) > _WASTE * alone):
            yield _Bundle(row, before, done, done + queries)
            done, queries, alone = done + queries, 0, more * end
        if not queries:
            row, before, keys = next_row, first, first
        queries, keys = queries + more, keys + more
    if queries:
        yield _Bundle(row, before, done, done + queries)


def _alike(bundles: list[_Bundle]) -> Iterator[list[_Bundle]]:
    """Bundles of about one size."""
    group: list[_Bundle] = []
    before = 0
    for bundle in sorted(bundles, key=lambda bundle: bundle.queries):
        before = max(before, bundle.before)
        products = (len(group) + 1) * bundle.queries * (before + bundle.queries)
        if group and (bundle.queries > _UNEVEN * group[0].queries or products > _PRODUCTS):
            yield group
            group, before = [], bundle.before
        group.append(bundle)
    if group:
        yield group


def _window(group: list[_Bundle], slot_UW: Ints, row_n: Ints, column_n: Ints) -> Window:
    row_R, before_R, start_R, end_R = (
        np.array([getattr(bundle, name) for bundle in group]) for name in ("row", "before", "start", "end")
    )
    query_RQ = start_R[:, None] + np.arange((end_R - start_R).max())
    padding_RQ = query_RQ >= end_R[:, None]
    before_RA = slot_UW[row_R, : before_R.max()]
    mask_RQK = np.full((*query_RQ.shape, before_RA.shape[1] + query_RQ.shape[1]), -np.inf, np.float32)
    # Padding asks everything, for of nothing there would be no mean.
    mask_RQK[padding_RQ] = 0

    bundle, query = (~padding_RQ).nonzero()
    asks = query_RQ[bundle, query]
    seen, column = (np.arange(column_n[asks].max() + 1) <= column_n[asks, None]).nonzero()
    key = slot_UW[row_n[asks[seen]], column] - start_R[bundle[seen]]
    key = np.where(key >= 0, before_RA.shape[1] + key, column)
    mask_RQK[bundle[seen], query[seen], key] = 0
    query_RQ[padding_RQ] = -1
    return Window(query_RQ, np.concatenate([before_RA, np.maximum(query_RQ, 0)], 1), mask_RQK)
