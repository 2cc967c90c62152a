"""What a method asks for and what it gets back: questions, requests, and a batch of graded responses.

Axes: B rows (responses), T response tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class QuestionTokens:
    """A question as the trainer sees it."""

    id: str
    prompt: tuple[int, ...]
    """Token ids of the rendered prompt."""
    answer: str
    demonstration: tuple[int, ...] | None
    """Token ids of the expert's response, end-of-sequence token included; None without a demonstration."""


@dataclass(frozen=True)
class StepContext:
    """Where in the run a rollout step stands."""

    seed: int
    step: int
    """Rollout step, from 0."""
    total_steps: int
    """S, rollout steps of the run."""


@dataclass(frozen=True)
class RolloutRequest:
    """One response to be made: imitated tokens first, the policy writes the rest."""

    rollout: int
    """Index of the rollout within its question."""
    prefix: tuple[int, ...] = ()
    """Imitated tokens that start the response; empty for an ordinary rollout."""
    prefix_id: int = -1
    """Rollouts of one question with the same non-negative id share one prefix; -1: ordinary."""
    complete: bool = False
    """The prefix is the whole response (a demonstration row): nothing is generated."""
    graded: bool = True
    """Whether the response gets a reward; without one its reward is 0."""


@dataclass(frozen=True)
class RolloutBatch:
    """Responses of one rollout step or of one mini-batch; a question's rows are always together in it."""

    question_B: Tensor
    """int64: index of the question; rows with equal values are rollouts of one question."""
    rollout_B: Tensor
    """int64: index of the rollout within its question."""
    prefix_id_B: Tensor
    """int64: -1 for ordinary rollouts; within a question, equal ids share one prefix."""
    prefix_length_B: Tensor
    """int64: imitated tokens at the start of the response."""
    response_length_B: Tensor
    """int64: response tokens, prefix included."""
    reward_B: Tensor
    """float32: 0 or 1 (any real number is allowed); 0 for rows that are not graded."""

    def __len__(self) -> int:
        return int(self.question_B.numel())

    @property
    def width(self) -> int:
        """T: the longest response."""
        return int(self.response_length_B.max()) if len(self) else 0

    @property
    def hybrid_B(self) -> Tensor:
        """Whether a row starts from a prefix."""
        return self.prefix_id_B >= 0

    def response_BT(self) -> Tensor:
        """True on the response's tokens, prefix included."""
        return self._positions() < self.response_length_B[:, None]

    def imitated_BT(self) -> Tensor:
        """True on tokens that come from a demonstration."""
        return self._positions() < torch.minimum(self.prefix_length_B, self.response_length_B)[:, None]

    def explored_BT(self) -> Tensor:
        """True on tokens that the policy sampled."""
        return self.response_BT() & ~self.imitated_BT()

    def mini_batches(self, count: int) -> list[Tensor]:
        """Rows of each of `count` mini-batches; questions are in random order already, so runs of them will do."""
        part_B = self.question_B * count // (int(self.question_B.max()) + 1)
        return [(part_B == part).nonzero()[:, 0] for part in range(int(part_B.max()) + 1)]

    def rows(self, index: Tensor) -> RolloutBatch:
        """The rows at `index` (integers or a boolean mask), in that order."""
        return RolloutBatch(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def _positions(self) -> Tensor:
        return torch.arange(self.width, device=self.response_length_B.device)[None]


@dataclass(frozen=True)
class TokenWeights:
    """The one view of every method: weights of the log-probability gradient of each response token.

    Both are [B, T] float32 and zero outside their own tokens.
    """

    alpha_BT: Tensor
    """Weights of explored tokens."""
    beta_BT: Tensor
    """Weights of imitated tokens."""
