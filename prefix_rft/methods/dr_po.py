"""DR-PO as Prefix-RFT's negative control (arXiv 2507.01679, Table 8): rollouts are reset into a demonstration."""

from __future__ import annotations

import torch
from torch import Tensor

from prefix_rft.advantage import advantages
from prefix_rft.methods.base import Method
from prefix_rft.prefix import prefix_length
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.settings.method import DrPoMethod


class DrPo(Method):
    """Rollouts: N that continue one prefix of the demonstration. Imitated: the prefix, with weight 0.

    alpha = A over the question's N rollouts; beta = 0.
    """

    phase = "rl"
    settings: DrPoMethod

    def requests(self, question: QuestionTokens, at: StepContext) -> list[RolloutRequest]:
        """N rollouts from one prefix; ordinary ones without a demonstration."""
        if question.demonstration is None:
            return [RolloutRequest(rollout) for rollout in range(self.settings.rollouts)]
        length = prefix_length(
            self.settings.schedule,
            len(question.demonstration),
            question_id=question.id,
            prefix_id=0,
            at=at,
            min_tokens=self.settings.min_prefix_tokens,
            max_response_tokens=self.max_response_tokens,
        )
        prefix = question.demonstration[:length]
        return [RolloutRequest(rollout, prefix, prefix_id=0) for rollout in range(self.settings.rollouts)]

    def weights(
        self, batch: RolloutBatch, entropy_BT: Tensor | None, at: StepContext, part: int
    ) -> TokenWeights:
        """The advantage on explored tokens alone."""
        advantage = advantages(batch, "group", self.settings.divide_by_std)
        alpha_BT = advantage.own_B[:, None] * batch.explored_BT()
        return TokenWeights(alpha_BT=alpha_BT, beta_BT=torch.zeros_like(alpha_BT))
