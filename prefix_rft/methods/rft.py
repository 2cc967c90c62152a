"""Reinforcement fine-tuning with Dr.GRPO (arXiv 2503.20783): all rollouts are ordinary."""

from __future__ import annotations

import torch
from torch import Tensor

from prefix_rft.advantage import advantages
from prefix_rft.methods.base import Method
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.settings.method import RftMethod, SftRftMethod


class Rft(Method):
    """Rollouts: N ordinary. Imitated: nothing. alpha = A over the question's N rollouts, beta = 0."""

    phase = "rl"
    settings: RftMethod | SftRftMethod

    def requests(self, question: QuestionTokens, at: StepContext) -> list[RolloutRequest]:
        """N ordinary rollouts."""
        return [RolloutRequest(rollout) for rollout in range(self.settings.rollouts)]

    def weights(
        self, batch: RolloutBatch, entropy_BT: Tensor | None, at: StepContext, part: int
    ) -> TokenWeights:
        """The advantage on every token."""
        advantage = advantages(batch, "group", self.settings.divide_by_std)
        alpha_BT = advantage.own_B[:, None] * batch.explored_BT()
        return TokenWeights(alpha_BT=alpha_BT, beta_BT=torch.zeros_like(alpha_BT))
