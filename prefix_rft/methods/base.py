"""What a method is: a rule for which rollouts are made, which tokens are imitated, and their weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor

from prefix_rft.errors import DataError
from prefix_rft.objective import ImitationRule
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.settings.base import Settings
from prefix_rft.settings.optimisation import SftPhase

__all__ = ["ImitationRule", "Method", "demonstration_row"]


class Method(ABC):
    """A method states its rule; the trainer does not know which method it runs."""

    phase: ClassVar[Literal["sft", "rl"]]
    """Which optimisation settings it trains under."""
    imitation: ImitationRule = ImitationRule()
    """How imitated tokens enter the loss."""
    clips_explored: bool = True
    """Whether PPO's clip holds for explored tokens."""
    wants_entropy: bool = False
    """Whether `weights` needs the policy's entropies."""
    interleaved: SftPhase | None = None
    """How SFT steps between two rollout steps are optimised; None: there are none."""

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
            entropy_BT: [B, T] entropies in nats, right on the rows of `entropy_rows` at least; None unless
                `wants_entropy`.
            at: the rollout step; keys random choices.
            part: index of the mini-batch within the rollout step; keys random choices.
        """

    def entropy_rows(self, batch: RolloutBatch) -> Tensor:
        """[B] bool: rows whose entropies `weights` looks at, where it wants any."""
        return batch.hybrid_B

    def check_questions(self, questions: Sequence[QuestionTokens]) -> None:
        """Refuse training questions on which the method would silently be another one.

        Raises:
            DataError: it would be.
        """
        return

    def take_interleaved(self, questions: Sequence[QuestionTokens], batch: RolloutBatch) -> Sequence[str]:
        """Ids of the questions whose demonstrations an SFT step takes now; called after every rollout step.

        Args:
            questions: the rollout step's questions; `batch.question_B` counts them.
            batch: all its graded rows.
        """
        return ()

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold for `restore`, as JSON; most methods remember nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave; a method that remembers something says how."""
        raise NotImplementedError(f"{type(self).__name__} has a state and no way to restore it")


def demonstration_row(
    question: QuestionTokens, rollout: int, max_response_tokens: int, *, graded: bool
) -> RolloutRequest:
    """The whole demonstration as a row of its own.

    Raises:
        DataError: there is none, or it exceeds the response budget.
    """
    demonstration = question.demonstration
    if demonstration is None:
        raise DataError(f"question {question.id!r} has no demonstration")
    if len(demonstration) > max_response_tokens:
        raise DataError(
            f"question {question.id!r}: its demonstration has {len(demonstration)} tokens, more "
            f"than max_response_tokens={max_response_tokens}. Raise it or drop the demonstration."
        )
    return RolloutRequest(rollout, demonstration, prefix_id=0, complete=True, graded=graded)
