"""LUFFY (arXiv 2504.14945): the demonstration is one more rollout of its group, off-policy and shaped."""

from __future__ import annotations

from torch import Tensor

from prefix_rft.advantage import advantages
from prefix_rft.methods.base import ImitationRule, Method, demonstration_row
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.settings.method import LuffyMethod


class Luffy(Method):
    """Rollouts: N - 1 ordinary. Imitated: the whole demonstration, graded, as row N of the group.

    alpha = beta = A over all N rows; an imitated token enters as beta * p / (p + gamma), an explored one as
    alpha * ratio without PPO's clip.
    """

    phase = "rl"
    settings: LuffyMethod

    def __init__(self, settings: LuffyMethod, max_response_tokens: int) -> None:
        super().__init__(settings, max_response_tokens)
        self.imitation = ImitationRule("shaped", shaping=settings.shaping)
        self.clips_explored = settings.clip_explored

    def requests(self, question: QuestionTokens, at: StepContext) -> list[RolloutRequest]:
        """Ordinary rollouts, then the demonstration; all are ordinary without one."""
        last = self.settings.rollouts - 1
        ordinary = [RolloutRequest(rollout) for rollout in range(last)]
        if question.demonstration is None:
            return [*ordinary, RolloutRequest(last)]
        return [*ordinary, demonstration_row(question, last, self.max_response_tokens, graded=True)]

    def weights(
        self, batch: RolloutBatch, entropy_BT: Tensor | None, at: StepContext, part: int
    ) -> TokenWeights:
        """Each row's advantage in its group, on all its tokens."""
        own_B1 = advantages(batch, "group", self.settings.divide_by_std).own_B[:, None]
        return TokenWeights(alpha_BT=own_B1 * batch.explored_BT(), beta_BT=own_B1 * batch.imitated_BT())
