"""RFT, alone and after SFT: N ordinary rollouts, the advantage on every token."""

from __future__ import annotations

import pytest
import torch
from torch import tensor

from prefix_rft.methods import make_method
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext
from prefix_rft.settings.method import Clipping, RftMethod, SftRftMethod

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


# The on-policy control: entropy-based clipping of explored tokens.

SIX = RolloutBatch(
    question_B=tensor([0, 0, 1, 1]),
    rollout_B=tensor([0, 1, 0, 1]),
    prefix_id_B=torch.full((4,), -1),
    prefix_length_B=torch.zeros(4, dtype=torch.long),
    response_length_B=tensor([1, 3, 2, 2]),
    reward_B=tensor([1.0, 0.0, 0.0, 1.0]),
)
ENTROPY = tensor([[0.1, 9.0, 9.0], [0.8, 0.2, 0.7], [0.3, 0.6, 9.0], [0.4, 0.5, 9.0]])


def test_clipping_keeps_the_explored_tokens_of_highest_entropy_of_the_whole_mini_batch() -> None:
    """Of eight tokens int(8 * 0.5) = 4 are dropped; what stands beyond a response does not count."""
    method = make_method(RftMethod(rollouts=2, clipping=Clipping(keep=0.5)), max_response_tokens=8)
    assert method.wants_entropy
    assert method.entropy_rows(SIX).all()
    weights = method.weights(SIX, ENTROPY, AT, part=0)
    assert weights.alpha_BT.tolist() == [[0, 0, 0], [-0.5, 0, -0.5], [0, -0.5, 0], [0, 0.5, 0]]
    assert weights.beta_BT.abs().sum() == 0


@pytest.mark.parametrize(("keep", "kept"), [(1.0, 8), (0.8, 7), (0.2, 2), (0.0, 0)])
def test_the_share_that_is_kept(keep: float, kept: int) -> None:
    method = make_method(RftMethod(rollouts=2, clipping=Clipping(keep=keep)), max_response_tokens=8)
    weights = method.weights(SIX, ENTROPY if method.wants_entropy else None, AT, part=0)
    assert int((weights.alpha_BT != 0).sum()) == kept
