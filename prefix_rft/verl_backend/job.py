"""What a run trains, as verl's trainer is told it: the method, its settings, the run's directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prefix_rft.data.encode import Encoder
from prefix_rft.grading import Grader
from prefix_rft.learning_rate import learning_rate
from prefix_rft.methods import Method
from prefix_rft.order import QuestionOrder
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.store import RunDir
from prefix_rft.settings import RlPhase, RunConfig, SftPhase
from prefix_rft.stop import StopFlag
from prefix_rft.verl_backend.loss import MethodLoss, method_loss


@dataclass(frozen=True)
class Job:
    """What is trained and where it is written; verl's configuration says how."""

    config: RunConfig
    run: RunDir
    method: Method
    encoder: Encoder
    grader: Grader
    stop: StopFlag
    progress: Callable[[int, int], None]
    metrics: MetricsWriter
    has_validation: bool
    """Whether there are validation questions."""

    @property
    def phase(self) -> SftPhase | RlPhase:
        """The optimisation settings of the method's phase."""
        phase: SftPhase | RlPhase = getattr(self.config.optimisation, self.method.phase)
        return phase

    @property
    def mini_batches(self) -> int:
        """Optimizer steps of a rollout step."""
        return self.phase.mini_batches if isinstance(self.phase, RlPhase) else 1

    @property
    def temperature(self) -> float:
        """Of sampling and of log-probabilities."""
        return self.phase.temperature if isinstance(self.phase, RlPhase) else 1.0

    @property
    def entropy_coefficient(self) -> float:
        """Weight of the entropy bonus."""
        return self.phase.entropy_coefficient if isinstance(self.phase, RlPhase) else 0.0

    @property
    def weighs_by_current_entropy(self) -> bool:
        """Whether each mini-batch's weights wait for the optimizer step before it."""
        of_current = isinstance(self.phase, RlPhase) and self.phase.entropy_of == "current"
        return of_current and self.method.wants_entropy

    def learning_rate(self, step: int, total_steps: int) -> float:
        """Of the first optimizer step of rollout step `step`, from 0."""
        return learning_rate(self.phase, step * self.mini_batches, total_steps * self.mini_batches)

    def loss(self) -> MethodLoss:
        """The method's loss."""
        return method_loss(self.method, self.phase)

    def order(self, questions: int) -> QuestionOrder:
        """Which questions each rollout step takes."""
        keep_partial = isinstance(self.phase, SftPhase)
        return QuestionOrder(
            self.config.seed, questions, self.phase.questions_per_step, keep_partial=keep_partial
        )

    def total_steps(self, questions: int) -> int:
        """Rollout steps of the run."""
        if isinstance(self.phase, SftPhase):
            return self.phase.epochs * self.order(questions).steps_per_epoch
        return self.phase.steps
