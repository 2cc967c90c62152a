"""What each broken trainer does to micro-batches of one row of 6 tokens and two rows of 1 and 2 tokens."""

from __future__ import annotations

import pytest

from prefix_rft.audit.faults import FAULTS, by_sequences, first_and_last, last_only, mean_of_means

PLAN = [[6], [1, 2]]


def test_only_the_last_micro_batch_counts() -> None:
    assert last_only([[6], [1], [2]], "constant") == [0, 0, 1]


def test_the_first_and_the_last_count() -> None:
    assert first_and_last([[6], [1], [2], [3]], "constant") == [1, 0, 0, 1]
    assert first_and_last(PLAN, "constant") == [1, 1]  # two micro-batches hide this fault


def test_a_mean_of_token_means() -> None:
    """A token of the first row should count 1/9 and counts 1/2 * 1/6; of the others, 1/2 * 1/3."""
    assert mean_of_means(PLAN, "token_mean") == pytest.approx([9 / 12, 9 / 6])


def test_a_mean_of_row_means() -> None:
    assert mean_of_means(PLAN, "constant") == pytest.approx([3 / 2, 3 / 4])


def test_sums_weighted_by_sequences() -> None:
    assert by_sequences(PLAN, "token_mean") == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize("name", FAULTS)
def test_without_a_split_there_is_no_fault(name: str) -> None:
    for aggregation in ("constant", "token_mean"):
        assert FAULTS[name]([[6, 1, 2]], aggregation) == [1]
