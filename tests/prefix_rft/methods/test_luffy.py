"""LUFFY: the published loss and gradient, and the demonstration as one more rollout of its group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor

from prefix_rft.errors import DataError
from prefix_rft.methods import make_method
from prefix_rft.objective import PpoClip, surrogate, token_scale
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.settings.method import LuffyMethod

GOLDEN = Path(__file__).parents[2] / "fixtures/golden/luffy_loss.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())
AT = StepContext(seed=0, step=0, total_steps=10)
DEMONSTRATION = (5, 6, 7)


def _batch(length: list[int], demonstration: int, reward: list[float] | None = None) -> RolloutBatch:
    rows = len(length)
    prefix_length_B, prefix_id_B = torch.zeros(rows, dtype=torch.long), torch.full((rows,), -1)
    prefix_length_B[demonstration], prefix_id_B[demonstration] = length[demonstration], 0
    return RolloutBatch(
        question_B=torch.zeros(rows, dtype=torch.long),
        rollout_B=torch.arange(rows),
        prefix_id_B=prefix_id_B,
        prefix_length_B=prefix_length_B,
        response_length_B=tensor(length),
        reward_B=tensor(reward or [0.0] * rows),
    )


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_reference_loss_and_gradient(case: dict[str, Any]) -> None:
    """The reference divides by the padded length alone, ours by the number of rows too."""
    method = make_method(
        LuffyMethod(shaping=case["gamma"], clip_explored=case["clip_on_policy"]), max_response_tokens=6
    )
    batch = _batch(case["response_length"], case["demonstration_row"])
    logp_BT = tensor(case["log_prob"])[:, : batch.width].requires_grad_()
    advantage_BT = tensor(case["advantage"])[:, : batch.width]
    found = surrogate(
        logp_BT,
        tensor(case["old_log_prob"])[:, : batch.width],
        TokenWeights(advantage_BT * batch.explored_BT(), advantage_BT * batch.imitated_BT()),
        response_BT=batch.response_BT(),
        imitated_BT=batch.imitated_BT(),
        imitation=method.imitation,
        clip=PpoClip(explored=method.clips_explored),
    )
    scale_BT = token_scale(batch, "constant", case["divisor"], method.imitation.scale)
    loss = (found.loss_BT * scale_BT).sum() * len(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    expected_BT = tensor(case["expected"]["grad_log_prob"])
    torch.testing.assert_close(loss, tensor(case["expected"]["loss"]), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(logp_BT.grad, expected_BT[:, : batch.width], rtol=1e-5, atol=1e-7)
    assert expected_BT[:, batch.width :].abs().sum() == 0


def test_the_demonstration_is_the_last_row_of_the_group_and_graded() -> None:
    question = QuestionTokens("q", (1,), "3", DEMONSTRATION)
    requests = make_method(LuffyMethod(rollouts=4), max_response_tokens=3).requests(question, AT)
    assert requests[:3] == [RolloutRequest(rollout) for rollout in range(3)]
    assert requests[3] == RolloutRequest(3, DEMONSTRATION, prefix_id=0, complete=True, graded=True)


def test_without_a_demonstration_all_rows_are_ordinary() -> None:
    question = QuestionTokens("q", (1,), "3", None)
    requests = make_method(LuffyMethod(rollouts=4), max_response_tokens=3).requests(question, AT)
    assert requests == [RolloutRequest(rollout) for rollout in range(4)]


def test_a_demonstration_beyond_the_budget_is_refused() -> None:
    question = QuestionTokens("q", (1,), "3", DEMONSTRATION)
    with pytest.raises(DataError, match="3 tokens, more than max_response_tokens=2"):
        make_method(LuffyMethod(rollouts=4), max_response_tokens=2).requests(question, AT)


def test_the_group_mean_includes_the_demonstration() -> None:
    """Rewards 0 0 1 and the demonstration's 1: the mean is 1/2, where the ordinary rollouts alone have 1/3."""
    batch = _batch([1, 2, 1, 3], demonstration=3, reward=[0.0, 0.0, 1.0, 1.0])
    weights = make_method(LuffyMethod(rollouts=4), max_response_tokens=8).weights(batch, None, AT, part=0)
    assert weights.alpha_BT.tolist() == [[-0.5, 0, 0], [-0.5, -0.5, 0], [0.5, 0, 0], [0, 0, 0]]
    assert weights.beta_BT.tolist() == [[0, 0, 0]] * 3 + [[0.5, 0.5, 0.5]]
