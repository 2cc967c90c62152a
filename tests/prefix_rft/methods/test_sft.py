"""SFT: requests, weights, and agreement with plain PyTorch cross-entropy."""

from __future__ import annotations

import pytest
import torch
from torch import tensor
from torch.nn.functional import cross_entropy

from prefix_rft.errors import DataError
from prefix_rft.methods import make_method
from prefix_rft.objective import PpoClip, row_scale, surrogate
from prefix_rft.rollout import QuestionTokens, RolloutBatch, StepContext
from prefix_rft.settings.method import SftMethod

AT = StepContext(seed=0, step=0, total_steps=10)
SFT = make_method(SftMethod(), max_response_tokens=6)


def _question(demonstration: tuple[int, ...] | None) -> QuestionTokens:
    return QuestionTokens(id="q", prompt=(1, 2), answer="3", demonstration=demonstration)


def test_the_demonstration_is_the_whole_response() -> None:
    (request,) = SFT.requests(_question((5, 6, 7)), AT)
    assert request.prefix == (5, 6, 7)
    assert request.complete
    assert request.prefix_id == 0


def test_no_demonstration_no_request() -> None:
    assert SFT.requests(_question(None), AT) == []


def test_a_demonstration_beyond_the_budget_is_refused() -> None:
    assert len(SFT.requests(_question((1,) * 6), AT)) == 1
    with pytest.raises(DataError, match="7 tokens, more than max_response_tokens=6"):
        SFT.requests(_question((1,) * 7), AT)


def test_the_loss_is_pytorchs_cross_entropy() -> None:
    torch.manual_seed(0)
    length_B = tensor([6, 3, 1])
    batch = RolloutBatch(
        question_B=torch.arange(3),
        rollout_B=torch.zeros(3, dtype=torch.long),
        prefix_id_B=torch.zeros(3, dtype=torch.long),
        prefix_length_B=length_B,
        response_length_B=length_B,
        reward_B=torch.zeros(3),
    )
    logits_BTV, target_BT = torch.randn(3, 6, 11), torch.randint(0, 11, (3, 6))
    logp_BT = logits_BTV.log_softmax(-1).gather(-1, target_BT[..., None])[..., 0]
    response_BT = batch.response_BT()
    found = surrogate(
        logp_BT,
        logp_BT,
        SFT.weights(batch, None, AT, part=0),
        response_BT=response_BT,
        imitated_BT=batch.imitated_BT(),
        imitation=SFT.imitation,
        clip=PpoClip(),
    )
    scale_B = row_scale("token_mean", length_B, sequences=3, total_tokens=10, constant=6)
    loss = (found.loss_BT * scale_B[:, None]).sum()
    torch.testing.assert_close(loss, cross_entropy(logits_BTV[response_BT], target_BT[response_BT]))
