"""Bundles of rows: few where rows are short and alike, one for each where they are not."""

from __future__ import annotations

import numpy as np

from prefix_rft.local.windows import windows


def bundles(start_U: list[int], end_U: list[int]) -> list[int]:
    """Queries of each bundle, for rows that share their beginnings with the row before."""
    width, own = max(end_U), 0
    slots: list[list[int]] = []
    for start, end in zip(start_U, end_U, strict=True):
        shared = slots[-1][:start] if slots else []
        slots.append([*shared, *range(own, own + end - start)] + [0] * (width - end))
        own += end - start
    found = windows(np.array(slots), np.array(start_U), np.array(end_U))
    return sorted(int((query_Q >= 0).sum()) for window in found for query_Q in window.query_RQ)


def test_rows_that_share_almost_all_are_one_bundle() -> None:
    assert bundles([0, 39, 39], [40, 41, 41]) == [44]


def test_rows_that_share_nothing_are_bundles_of_their_own() -> None:
    assert bundles([0, 0, 0], [40, 40, 40]) == [40, 40, 40]


def test_no_bundle_is_larger_than_the_largest_and_a_long_row_is_cut() -> None:
    found = bundles([0], [1000])
    assert sum(found) == 1000
    assert max(found) <= 256


def test_bundles_of_very_different_size_have_windows_of_their_own() -> None:
    slot_UW = np.array([list(range(40)), list(range(40, 55)) + [0] * 25])
    sizes = {window.query_RQ.shape for window in windows(slot_UW, np.array([0, 0]), np.array([40, 15]))}
    assert sizes == {(1, 40), (1, 15)}
