"""DR-PO: all rollouts of a question continue one prefix, and no token of it is updated."""

from __future__ import annotations

import torch
from torch import tensor

from prefix_rft.methods import make_method
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext
from prefix_rft.settings.method import DrPoMethod, PrefixRftMethod
from prefix_rft.settings.schedule import ConstantPrefix

AT = StepContext(seed=0, step=3, total_steps=10)
QUESTION = QuestionTokens("q", (1,), "3", tuple(range(20)))


def test_all_rollouts_share_one_prefix() -> None:
    method = make_method(DrPoMethod(rollouts=4, schedule=ConstantPrefix(share=0.5)), max_response_tokens=100)
    requests = method.requests(QUESTION, AT)
    assert requests == [RolloutRequest(rollout, tuple(range(10)), prefix_id=0) for rollout in range(4)]


def test_the_prefix_is_the_one_that_prefix_rft_draws() -> None:
    """So that the control differs in what is done with the prefix, not in its length."""
    ours, theirs = (
        make_method(kind, max_response_tokens=100).requests(QUESTION, AT)[-1].prefix
        for kind in (DrPoMethod(), PrefixRftMethod())
    )
    assert ours == theirs


def test_without_a_demonstration_all_rows_are_ordinary() -> None:
    requests = make_method(DrPoMethod(rollouts=3), max_response_tokens=100).requests(
        QuestionTokens("q", (1,), "3", None), AT
    )
    assert requests == [RolloutRequest(rollout) for rollout in range(3)]


def test_weights_by_hand() -> None:
    batch = RolloutBatch(
        question_B=torch.zeros(4, dtype=torch.long),
        rollout_B=torch.arange(4),
        prefix_id_B=torch.zeros(4, dtype=torch.long),
        prefix_length_B=torch.full((4,), 2),
        response_length_B=tensor([3, 4, 3, 3]),
        reward_B=tensor([1.0, 0.0, 0.0, 0.0]),
    )
    weights = make_method(DrPoMethod(rollouts=4), max_response_tokens=8).weights(batch, None, AT, part=0)
    expected = [[0, 0, 0.75, 0], [0, 0, -0.25, -0.25], [0, 0, -0.25, 0], [0, 0, -0.25, 0]]
    assert weights.alpha_BT.tolist() == expected
    assert weights.beta_BT.abs().sum() == 0
