"""RFT, alone and after SFT: N ordinary rollouts, the advantage on every token."""

from __future__ import annotations

import pytest
import torch
from torch import tensor

from prefix_rft.methods import make_method
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext
from prefix_rft.settings.method import RftMethod, SftRftMethod

AT = StepContext(seed=0, step=0, total_steps=10)
QUESTION = QuestionTokens(id="q", prompt=(1,), answer="3", demonstration=(5, 6, 7))


@pytest.mark.parametrize("kind", [RftMethod, SftRftMethod])
def test_the_demonstration_is_not_used(kind: type[RftMethod | SftRftMethod]) -> None:
    method = make_method(kind(rollouts=4), max_response_tokens=8)
    assert method.requests(QUESTION, AT) == [RolloutRequest(i) for i in range(4)]
    assert method.phase == "rl"
    assert not method.wants_entropy


@pytest.mark.parametrize("kind", [RftMethod, SftRftMethod])
def test_weights_by_hand(kind: type[RftMethod | SftRftMethod]) -> None:
    batch = RolloutBatch(
        question_B=torch.zeros(4, dtype=torch.long),
        rollout_B=torch.arange(4),
        prefix_id_B=torch.full((4,), -1),
        prefix_length_B=torch.zeros(4, dtype=torch.long),
        response_length_B=tensor([1, 3, 2, 2]),
        reward_B=tensor([1.0, 0.0, 0.0, 0.0]),
    )
    weights = make_method(kind(rollouts=4), max_response_tokens=8).weights(batch, None, AT, part=0)
    expected = [[0.75, 0, 0], [-0.25, -0.25, -0.25], [-0.25, -0.25, 0], [-0.25, -0.25, 0]]
    assert weights.alpha_BT.tolist() == expected
    assert weights.beta_BT.abs().sum() == 0
