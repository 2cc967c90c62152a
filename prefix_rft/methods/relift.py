"""ReLIFT (arXiv 2506.07527): RL, interleaved with SFT on the questions that RL cannot solve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from prefix_rft.errors import DataError
from prefix_rft.methods.rft import Rft
from prefix_rft.rollout import QuestionTokens, RolloutBatch
from prefix_rft.settings.method import ReliftMethod
from prefix_rft.settings.optimisation import SftPhase


class Relift(Rft):
    """The rule of RFT. A question with a demonstration that no rollout solved waits in a buffer.

    When the buffer holds a batch, one SFT step (weight 1, token mean, an optimizer of its own) takes the
    demonstrations of those that have waited longest, and they leave the buffer.
    """

    settings: ReliftMethod

    def __init__(self, settings: ReliftMethod, max_response_tokens: int) -> None:
        super().__init__(settings, max_response_tokens)
        self.interleaved = SftPhase(
            learning_rate=settings.learning_rate,
            max_grad_norm=settings.max_grad_norm,
            decay="constant",
            warmup_fraction=0.0,
        )
        self._unsolved: list[str] = []

    def check_questions(self, questions: Sequence[QuestionTokens]) -> None:
        """Enough demonstrations to fill the buffer once.

        Raises:
            DataError: no SFT step would ever happen.
        """
        demonstrated = sum(question.demonstration is not None for question in questions)
        if demonstrated < self.settings.buffer:
            raise DataError(
                f"method.buffer={self.settings.buffer} questions wait before an SFT step takes them, and only "
                f"{demonstrated} training questions have a demonstration: ReLIFT would be RFT. "
                "Lower method.buffer, or give more demonstrations."
            )

    def take_interleaved(self, questions: Sequence[QuestionTokens], batch: RolloutBatch) -> Sequence[str]:
        """Remember what was not solved; hand out a batch once there is one."""
        solved_Q = torch.zeros(len(questions)).index_add(0, batch.question_B, batch.reward_B)
        for question, solved in zip(questions, solved_Q.tolist(), strict=True):
            if not solved and question.demonstration is not None and question.id not in self._unsolved:
                self._unsolved.append(question.id)
        if len(self._unsolved) < self.settings.buffer:
            return ()
        taken = self._unsolved[: self.settings.buffer]
        del self._unsolved[: self.settings.buffer]
        return taken

    def state(self) -> dict[str, Any]:
        """The questions that wait, longest first."""
        return {"unsolved": list(self._unsolved)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self._unsolved = list(state["unsolved"])
