"""What a method is: a rule for which rollouts are made, which tokens are imitated, and their weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor

from prefix_rft.objective import Imitation
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.settings.base import Settings

__all__ = ["Imitation", "Method"]


class Method(ABC):
    """A method states its rule; the trainer does not know which method it runs."""

    phase: ClassVar[Literal["sft", "rl"]]
    """Which optimisation settings it trains under."""
    imitation: Imitation = "likelihood"
    """How imitated tokens enter the surrogate."""
    wants_entropy: bool = False
    """Whether `weights` needs the policy's entropies on rows with imitated tokens."""

    settings: Settings
    """The method's own settings; each method narrows the type."""

    def __init__(self, settings: Settings, max_response_tokens: int) -> None:
        self.settings = settings
        self.max_response_tokens = max_response_tokens

    @abstractmethod
    def requests(self, question: QuestionTokens, at: StepContext) -> list[RolloutRequest]:
        """The responses to make for one question at one rollout step; may be empty."""

    @abstractmethod
    def weights(
        self, batch: RolloutBatch, entropy_BT: Tensor | None, at: StepContext, part: int
    ) -> TokenWeights:
        """Weights of the tokens of one optimizer mini-batch (whole questions).

        Args:
            batch: the mini-batch's graded rows.
            entropy_BT: [B, T] entropies in nats, right on rows with imitated tokens at least; None unless
                `wants_entropy`.
            at: the rollout step; keys random choices.
            part: index of the mini-batch within the rollout step; keys random choices.
        """
