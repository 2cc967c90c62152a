"""Supervised fine-tuning: the whole demonstration is imitated with weight 1, and nothing is explored."""

from __future__ import annotations

import torch
from torch import Tensor

from prefix_rft.methods.base import Method, demonstration_row
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights


class Sft(Method):
    """Rollouts: none. Imitated: every token of the demonstration. alpha = 0, beta = 1."""

    phase = "sft"

    def requests(self, question: QuestionTokens, at: StepContext) -> list[RolloutRequest]:
        """The demonstration as a row of its own; none for a question without one."""
        if question.demonstration is None:
            return []
        return [demonstration_row(question, 0, self.max_response_tokens, graded=False)]

    def weights(
        self, batch: RolloutBatch, entropy_BT: Tensor | None, at: StepContext, part: int
    ) -> TokenWeights:
        """1 on every token of the demonstration."""
        beta_BT = batch.imitated_BT().float()
        return TokenWeights(alpha_BT=torch.zeros_like(beta_BT), beta_BT=beta_BT)
