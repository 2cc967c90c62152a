"""SFT steps between rollout steps, with an optimizer of their own, on questions that the method names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefix_rft.errors import CheckpointError
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import Policy
from prefix_rft.local.rollouts import demonstrations
from prefix_rft.local.update import Batching, LossRule, update
from prefix_rft.methods import make_method
from prefix_rft.nonfinite import Guard
from prefix_rft.rollout import QuestionTokens, StepContext
from prefix_rft.settings import SftMethod, SftPhase


class Interleaved:
    """One step imitates the whole demonstrations of its questions, in one mini-batch."""

    def __init__(
        self,
        policy: Policy,
        phase: SftPhase,
        questions: Sequence[QuestionTokens],
        batching: Batching,
        *,
        beside: Optimizer,
        max_response_tokens: int,
        pad_id: int,
        guard: Guard | None = None,
    ) -> None:
        """Nothing is imitated yet.

        Args:
            policy: the policy that is trained.
            phase: rates and norms of these steps.
            questions: all training questions.
            batching: how rows are packed.
            beside: the rollout steps' optimizer of the same policy.
            max_response_tokens: longest response.
            pad_id: filler of short rows.
            guard: what is done where a number is not finite.
        """
        self._policy, self._batching, self._pad_id, self._guard = policy, batching, pad_id, guard
        self._method = make_method(SftMethod(), max_response_tokens)
        self._rule = LossRule.of(phase, max_response_tokens)
        self._questions = {question.id: question for question in questions}
        self._optimizer = Optimizer(policy, phase, updates=1, beside=beside)

    def step(self, ids: Sequence[str], at: StepContext) -> dict[str, float]:
        """Imitate these questions' demonstrations once; values for metrics.jsonl, none without questions.

        Raises:
            TrainingError: the loss or the gradient is not finite, and the guard does not leave the step out.
        """
        if not ids:
            return {}
        rows = demonstrations(self._method, [self._questions[name] for name in ids], at, self._pad_id)
        report = update(
            self._policy, self._optimizer, self._method, rows, self._rule, self._batching, at, self._guard
        ).metrics()
        names = ("loss", "grad_norm", "skipped_nonfinite")
        return {
            **{f"imitation_{name}": report[name] for name in names if name in report},
            "imitation_questions": float(len(ids)),
            "imitation_tokens": report["imitated_tokens"],
        }

    def save(self, file: Path) -> None:
        """Write the optimizer's state."""
        self._optimizer.save(file)

    def load(self, file: Path) -> None:
        """Take over a saved state.

        Raises:
            CheckpointError: it is missing, or another model's.
        """
        if not file.exists():
            raise CheckpointError(f"{file} is missing; delete {file.parent} to resume from the one before")
        self._optimizer.load(file)
