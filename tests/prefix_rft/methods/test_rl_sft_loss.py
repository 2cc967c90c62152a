"""RL with an SFT loss: two losses beside each other, neither in the other's divisor."""

from __future__ import annotations

import torch
from torch import tensor

from prefix_rft.methods import make_method
from prefix_rft.objective import PpoClip, surrogate, token_scale
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext
from prefix_rft.settings.method import RlSftLossMethod

AT = StepContext(seed=0, step=0, total_steps=10)
BATCH = RolloutBatch(
    question_B=torch.zeros(4, dtype=torch.long),
    rollout_B=torch.arange(4),
    prefix_id_B=tensor([-1, -1, -1, 0]),
    prefix_length_B=tensor([0, 0, 0, 4]),
    response_length_B=tensor([2, 1, 3, 4]),
    reward_B=tensor([1.0, 0.0, 0.0, 0.0]),
)
METHOD = make_method(RlSftLossMethod(rollouts=4, coefficient=0.3), max_response_tokens=8)


def test_the_demonstration_is_one_more_row_and_not_graded() -> None:
    requests = METHOD.requests(QuestionTokens("q", (1,), "3", (5, 6, 7)), AT)
    assert requests[:3] == [RolloutRequest(rollout) for rollout in range(3)]
    assert requests[3] == RolloutRequest(3, (5, 6, 7), prefix_id=0, complete=True, graded=False)


def test_without_a_demonstration_all_rows_are_ordinary() -> None:
    requests = METHOD.requests(QuestionTokens("q", (1,), "3", None), AT)
    assert requests == [RolloutRequest(rollout) for rollout in range(4)]


def test_advantages_come_from_the_ordinary_rows() -> None:
    weights = METHOD.weights(BATCH, None, AT, part=0)
    alpha, beta = torch.zeros(4, 4), torch.zeros(4, 4)
    alpha[0, :2], alpha[1, :1], alpha[2, :3] = 2 / 3, -1 / 3, -1 / 3
    beta[3] = 0.3
    torch.testing.assert_close(weights.alpha_BT, alpha)
    torch.testing.assert_close(weights.beta_BT, beta)


def test_the_loss_is_the_rl_loss_of_three_rows_and_a_token_mean_times_the_coefficient() -> None:
    """At the old policy a ratio is 1: the RL loss is -(2 * 2/3 - 1 * 1/3 - 3 * 1/3) / 8 / 3 = 0."""
    logp_BT = -torch.arange(1.0, 17.0).reshape(4, 4) / 10
    found = surrogate(
        logp_BT,
        logp_BT,
        METHOD.weights(BATCH, None, AT, part=0),
        response_BT=BATCH.response_BT(),
        imitated_BT=BATCH.imitated_BT(),
        imitation=METHOD.imitation,
        clip=PpoClip(),
    )
    loss_BT = found.loss_BT * token_scale(BATCH, "constant", 8, METHOD.imitation.scale)
    torch.testing.assert_close(loss_BT[0, 0], tensor(-2 / 3 / 8 / 3))
    torch.testing.assert_close(loss_BT[1, 0], tensor(1 / 3 / 8 / 3))
    torch.testing.assert_close(loss_BT[:3].sum(), tensor(0.0), atol=1e-8, rtol=0)
    # Tokens 13 to 16 have log-probabilities -1.3, -1.4, -1.5 and -1.6, on average -1.45.
    torch.testing.assert_close(loss_BT[3].sum(), tensor(0.3 * 1.45))
