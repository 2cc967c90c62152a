"""Prefix-RFT (arXiv 2507.01679): hybrid rollouts continue a prefix of the demonstration."""

from __future__ import annotations

import torch
from torch import Tensor

from prefix_rft import keyed
from prefix_rft.advantage import advantages
from prefix_rft.clipping import kept_BT, needs_entropy
from prefix_rft.methods.base import ImitationRule, Method
from prefix_rft.prefix import prefix_length
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.settings.method import PrefixRftMethod


class PrefixRft(Method):
    """Rollouts: N - h ordinary, h hybrid with a prefix each. Imitated: the prefixes.

    alpha = A of the rollout; beta = A of the prefix (or a static weight) on the imitated tokens that entropy-based
    clipping keeps.
    """

    phase = "rl"
    settings: PrefixRftMethod

    def __init__(self, settings: PrefixRftMethod, max_response_tokens: int) -> None:
        super().__init__(settings, max_response_tokens)
        self.imitation = ImitationRule("clipped_ratio" if settings.clip_prefix else "ratio")
        self.wants_entropy = needs_entropy(settings.clipping)

    def requests(self, question: QuestionTokens, at: StepContext) -> list[RolloutRequest]:
        """Ordinary rollouts first, then the hybrid ones; all are ordinary without a demonstration."""
        demonstration = question.demonstration
        hybrid = 0 if demonstration is None else self.settings.hybrid_rollouts
        ordinary = self.settings.rollouts - hybrid
        made = [RolloutRequest(rollout) for rollout in range(ordinary)]
        if demonstration is not None:
            for prefix_id in range(hybrid):
                prefix = demonstration[: self._prefix_length(question, len(demonstration), prefix_id, at)]
                made.append(RolloutRequest(ordinary + prefix_id, prefix, prefix_id))
        return made

    def weights(
        self, batch: RolloutBatch, entropy_BT: Tensor | None, at: StepContext, part: int
    ) -> TokenWeights:
        """Each row's own advantage on explored tokens, the prefix's on the imitated tokens that are kept."""
        advantage = advantages(batch, self.settings.baseline, self.settings.divide_by_std)
        rng = keyed.generator("clipping", at.seed, at.step, part)
        kept = kept_BT(batch, batch.imitated_BT(), entropy_BT, self.settings.clipping, rng)
        static = self.settings.static_weight
        prefix_B = advantage.prefix_B if static is None else torch.full_like(advantage.prefix_B, static)
        return TokenWeights(
            alpha_BT=advantage.own_B[:, None] * batch.explored_BT(), beta_BT=prefix_B[:, None] * kept
        )

    def _prefix_length(
        self, question: QuestionTokens, demonstration_length: int, prefix_id: int, at: StepContext
    ) -> int:
        return prefix_length(
            self.settings.schedule,
            demonstration_length,
            question_id=question.id,
            prefix_id=prefix_id,
            at=at,
            min_tokens=self.settings.min_prefix_tokens,
            max_response_tokens=self.max_response_tokens,
        )
