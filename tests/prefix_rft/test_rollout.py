"""Masks of a small batch, worked out by hand."""

from __future__ import annotations

import torch
from torch import tensor

from prefix_rft.rollout import RolloutBatch

BATCH = RolloutBatch(
    question_B=tensor([0, 0, 1]),
    rollout_B=tensor([0, 1, 0]),
    prefix_id_B=tensor([-1, 0, 0]),
    prefix_length_B=tensor([0, 2, 5]),
    response_length_B=tensor([3, 4, 1]),
    reward_B=tensor([1.0, 0.0, 1.0]),
)


def test_masks() -> None:
    assert len(BATCH) == 3
    assert BATCH.width == 4
    assert BATCH.hybrid_B.tolist() == [False, True, True]
    assert BATCH.response_BT().int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]
    assert BATCH.imitated_BT().int().tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
    assert BATCH.explored_BT().int().tolist() == [[1, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_every_response_token_is_explored_or_imitated_but_not_both() -> None:
    assert not (BATCH.explored_BT() & BATCH.imitated_BT()).any()
    assert torch.equal(BATCH.explored_BT() | BATCH.imitated_BT(), BATCH.response_BT())


def test_rows_keep_their_order_and_shrink_the_width() -> None:
    part = BATCH.rows(tensor([2, 0]))
    assert part.reward_B.tolist() == [1.0, 1.0]
    assert part.prefix_length_B.tolist() == [5, 0]
    assert part.width == 3
    assert BATCH.rows(BATCH.hybrid_B).question_B.tolist() == [0, 1]


def test_no_rows_have_no_width() -> None:
    assert BATCH.rows(torch.zeros(3, dtype=torch.bool)).width == 0
