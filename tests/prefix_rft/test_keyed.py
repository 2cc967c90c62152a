"""Keyed randomness: streams belong to their names, and their numbers look uniform and independent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from prefix_rft import keyed

ROWS, POSITIONS = 2000, 500


def _keys(count: int) -> NDArray[np.uint64]:
    return np.array([keyed.key("row", i) for i in range(count)], dtype=np.uint64)


@pytest.fixture(scope="module")
def million() -> NDArray[np.float64]:
    return keyed.uniforms(_keys(ROWS), np.arange(POSITIONS, dtype=np.uint64))


def test_a_number_and_its_text_are_different_names() -> None:
    assert keyed.key("1", 2) != keyed.key(1, 2)
    assert keyed.key("ab", "c") != keyed.key("a", "bc")


def test_a_key_is_the_same_in_every_process_and_release() -> None:
    assert keyed.key("prefix", 0, "q", 1, 2) == 0xF6A07353CAB615EE
    assert keyed.generator("prefix", 0).random() == keyed.generator("prefix", 0).random()


def test_mean_and_variance(million: NDArray[np.float64]) -> None:
    n = million.size
    assert abs(million.mean() - 0.5) < 4 * (1 / 12 / n) ** 0.5
    assert abs(million.var() - 1 / 12) < 4 * (1 / 180 / n) ** 0.5
    assert million.min() > 0
    assert million.max() < 1


def test_every_hundredth_holds_its_share(million: NDArray[np.float64]) -> None:
    counts, _ = np.histogram(million, bins=100, range=(0, 1))
    expected = million.size / 100
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_squared - 99) < 4 * (2 * 99) ** 0.5


@pytest.mark.parametrize("lag", [1, 2, 7, 64])
def test_neither_lags_nor_rows_correlate(million: NDArray[np.float64], lag: int) -> None:
    z = (million - 0.5) * 12**0.5
    along = z[:, lag:] * z[:, :-lag]
    across = z[lag:] * z[:-lag]
    assert abs(along.mean()) < 4 / along.size**0.5
    assert abs(across.mean()) < 4 / across.size**0.5


def test_consecutive_integer_keys_do_not_correlate() -> None:
    z = keyed.uniforms(np.arange(ROWS, dtype=np.uint64), np.arange(POSITIONS, dtype=np.uint64)) - 0.5
    assert abs((z[1:] * z[:-1]).mean() * 12) < 4 / z[1:].size ** 0.5


@given(
    rows=st.lists(st.integers(0, 49), min_size=1, max_size=20),
    positions=st.lists(st.integers(0, 29), min_size=1, max_size=20),
)
def test_a_number_does_not_depend_on_what_else_is_asked_for(rows: list[int], positions: list[int]) -> None:
    key_B = _keys(50)
    every = keyed.uniforms(key_B, np.arange(30, dtype=np.uint64))
    some = keyed.uniforms(key_B[rows], np.array(positions, dtype=np.uint64))
    np.testing.assert_array_equal(some, every[np.ix_(rows, positions)])


def test_thresholds_on_a_share_give_nested_subsets() -> None:
    shares = {i: keyed.share("subset", 0, i) for i in range(10_000)}
    tenth = {i for i, value in shares.items() if value < 0.1}
    hundredth = {i for i, value in shares.items() if value < 0.01}
    assert hundredth < tenth
    assert len(tenth) == pytest.approx(1000, abs=4 * 30)
