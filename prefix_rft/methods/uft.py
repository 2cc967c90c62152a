"""UFT (arXiv 2505.16984): every rollout continues one hint, whose likelihood is raised by a small constant."""

from __future__ import annotations

import math

from torch import Tensor

from prefix_rft import keyed
from prefix_rft.advantage import advantages
from prefix_rft.methods.base import ImitationRule, Method
from prefix_rft.prefix import cut, naming
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.schedule import decayed
from prefix_rft.settings.method import UftMethod


class Uft(Method):
    """Rollouts: N that continue the first k of the demonstration's equal parts. Imitated: the hint.

    alpha = A over the question's N rollouts; beta = the coefficient, in a mean over all imitated tokens of the
    mini-batch.
    """

    phase = "rl"
    imitation = ImitationRule("likelihood", scale="token_mean")
    settings: UftMethod

    def requests(self, question: QuestionTokens, at: StepContext) -> list[RolloutRequest]:
        """N rollouts from one hint; ordinary ones without a demonstration, or where the hint is empty."""
        parts = 0 if question.demonstration is None else self._parts(question.id, at)
        if question.demonstration is None or parts == 0:
            return [RolloutRequest(rollout) for rollout in range(self.settings.rollouts)]
        share = parts / self.settings.parts
        with naming(question.id):
            length = cut(share, len(question.demonstration), 1, self.max_response_tokens)
        hint = question.demonstration[:length]
        return [RolloutRequest(rollout, hint, prefix_id=0) for rollout in range(self.settings.rollouts)]

    def weights(
        self, batch: RolloutBatch, entropy_BT: Tensor | None, at: StepContext, part: int
    ) -> TokenWeights:
        """The advantage on explored tokens, the coefficient on the hint."""
        advantage = advantages(batch, "group", self.settings.divide_by_std)
        return TokenWeights(
            alpha_BT=advantage.own_B[:, None] * batch.explored_BT(),
            beta_BT=self.settings.coefficient * batch.imitated_BT().float(),
        )

    def _parts(self, question_id: str, at: StepContext) -> int:
        """k, the parts in this rollout step's hint; 0 after the decay."""
        # 0.55 * 100 is 55.00000000000001: rounding first keeps the step that was meant.
        steps = round(self.settings.decay_fraction * at.total_steps, 9)
        if at.step >= steps:
            return 0
        rng, parts = keyed.generator("hint", at.seed, question_id, at.step), self.settings.parts
        match self.settings.hint:
            case "cosine":
                chance = decayed("cosine", self.settings.start, self.settings.end, at.step, steps)
                return int(rng.binomial(parts, chance))
            case "stage":
                return parts - 1 - math.floor(at.step * parts / steps)
            case "uniform":
                return int(rng.integers(0, parts + 1))
