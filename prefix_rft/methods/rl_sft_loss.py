"""RL with an SFT loss: the simplest blend, the comparison of LUFFY (arXiv 2504.14945) and Prefix-RFT."""

from __future__ import annotations

from torch import Tensor

from prefix_rft.advantage import advantages
from prefix_rft.methods.base import ImitationRule, Method, demonstration_row
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.settings.method import RlSftLossMethod


class RlSftLoss(Method):
    """Rollouts: N - 1 ordinary. Imitated: the whole demonstration, one more row.

    alpha = A over the question's ordinary rollouts; beta = the coefficient, in a mean over all imitated tokens of the
    mini-batch (the SFT loss), which does not enter the divisor of the RL loss.
    """

    phase = "rl"
    imitation = ImitationRule("likelihood", scale="token_mean")
    settings: RlSftLossMethod

    def requests(self, question: QuestionTokens, at: StepContext) -> list[RolloutRequest]:
        """Ordinary rollouts, then the demonstration; all are ordinary without one."""
        last = self.settings.rollouts - 1
        ordinary = [RolloutRequest(rollout) for rollout in range(last)]
        if question.demonstration is None:
            return [*ordinary, RolloutRequest(last)]
        return [*ordinary, demonstration_row(question, last, self.max_response_tokens, graded=False)]

    def weights(
        self, batch: RolloutBatch, entropy_BT: Tensor | None, at: StepContext, part: int
    ) -> TokenWeights:
        """The advantage on explored tokens, the coefficient on the demonstration."""
        advantage = advantages(batch, "reference", self.settings.divide_by_std)
        return TokenWeights(
            alpha_BT=advantage.own_B[:, None] * batch.explored_BT(),
            beta_BT=self.settings.coefficient * batch.imitated_BT().float(),
        )
