"""Reinforcement fine-tuning with Dr.GRPO (arXiv 2503.20783): all rollouts are ordinary."""

from __future__ import annotations

import torch
from torch import Tensor

from prefix_rft import keyed
from prefix_rft.advantage import advantages
from prefix_rft.clipping import kept_BT, needs_entropy
from prefix_rft.methods.base import Method
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.settings.method import Clipping, ReliftMethod, RftMethod, SftRftMethod


class Rft(Method):
    """Rollouts: N ordinary. Imitated: nothing.

    alpha = A over the question's N rollouts, on the explored tokens that clipping keeps (all of them, but for the
    on-policy control of Prefix-RFT's Table 8); beta = 0.
    """

    phase = "rl"
    settings: RftMethod | SftRftMethod | ReliftMethod

    def __init__(self, settings: RftMethod | SftRftMethod | ReliftMethod, max_response_tokens: int) -> None:
        super().__init__(settings, max_response_tokens)
        self._clipping = settings.clipping if isinstance(settings, RftMethod) else Clipping(keep=1.0)
        self.wants_entropy = needs_entropy(self._clipping)

    def requests(self, question: QuestionTokens, at: StepContext) -> list[RolloutRequest]:
        """N ordinary rollouts."""
        return [RolloutRequest(rollout) for rollout in range(self.settings.rollouts)]

    def entropy_rows(self, batch: RolloutBatch) -> Tensor:
        """All rows: the clipped tokens are explored ones."""
        return torch.ones_like(batch.hybrid_B)

    def weights(
        self, batch: RolloutBatch, entropy_BT: Tensor | None, at: StepContext, part: int
    ) -> TokenWeights:
        """The advantage on every token that is kept."""
        advantage = advantages(batch, "group", self.settings.divide_by_std)
        rng = keyed.generator("clipping", at.seed, at.step, part)
        kept = kept_BT(batch, batch.explored_BT(), entropy_BT, self._clipping, rng)
        alpha_BT = advantage.own_B[:, None] * kept
        return TokenWeights(alpha_BT=alpha_BT, beta_BT=torch.zeros_like(alpha_BT))
