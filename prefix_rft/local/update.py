"""One rollout step's optimizer updates: mini-batches of whole questions, micro-batches by token budget.

The update does not know which method it runs: a method gives the weights, `objective` the losses.

Axes: B rows (responses) of the whole rollout step, T response tokens.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from prefix_rft.local.diverged import batch_of, broken_gradients
from prefix_rft.local.gradient_parts import GradientParts
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import Policy
from prefix_rft.local.rollouts import Responses
from prefix_rft.local.scoring import Scorer, Split, TokenBudget
from prefix_rft.methods.base import Method
from prefix_rft.nonfinite import Guard, NonFiniteError, require_finite
from prefix_rft.objective import PpoClip, Surrogate, entropy_bonus, surrogate, token_scale
from prefix_rft.reporting import UpdateReport
from prefix_rft.rollout import RolloutBatch, StepContext, TokenWeights
from prefix_rft.settings import Aggregation, RlPhase, SftPhase


@dataclass(frozen=True)
class LossRule:
    """The part of a phase's settings that shapes the loss."""

    aggregation: Aggregation
    constant: int
    """C, the maximum response length."""
    mini_batches: int = 1
    temperature: float = 1.0
    clip: PpoClip = field(default_factory=PpoClip)
    entropy_coefficient: float = 0.0
    entropy_of_current: bool = False
    gradient_norms_every: int = 0

    @classmethod
    def of(cls, phase: SftPhase | RlPhase, constant: int) -> LossRule:
        """The rule of a phase; imitation has one mini-batch a step and no ratios."""
        if isinstance(phase, SftPhase):
            return cls(phase.aggregation, constant)
        return cls(
            phase.aggregation,
            constant,
            phase.mini_batches,
            phase.temperature,
            PpoClip(phase.clip_low, phase.clip_high, phase.dual_clip),
            phase.entropy_coefficient,
            phase.entropy_of == "current",
            phase.gradient_norms_every,
        )

    def measures_parts(self, step: int) -> bool:
        """Whether the gradient's imitated and explored parts are measured at this rollout step (from 0)."""
        return self.gradient_norms_every > 0 and step % self.gradient_norms_every == 0


@dataclass(frozen=True)
class Batching:
    """How rows are packed; changes speed and memory, never the loss or a metric."""

    micro_batch_tokens: int
    skip_zero_weight_rows: bool
    split: Split | None = None
    """Packs the rows where given; the token budget does otherwise."""


def update(
    policy: Policy,
    optimizer: Optimizer,
    method: Method,
    responses: Responses,
    rule: LossRule,
    batching: Batching,
    at: StepContext,
    guard: Guard | None = None,
) -> UpdateReport:
    """Take the optimizer steps of one rollout step.

    Raises:
        TrainingError: a reward, a log-probability, an entropy, a loss or a gradient is not finite, and the guard does
            not leave the step out; no guard leaves none out. The weights have not seen it.
    """
    split = batching.split or TokenBudget(batching.micro_batch_tokens)
    scorer = Scorer(policy, responses, rule.temperature, split)
    skip = batching.skip_zero_weight_rows
    guard = guard or Guard(settings=f"optimisation.{method.phase}")
    return _Update(optimizer, method, responses.batch, scorer, rule, at, skip, guard).run()


class _Update:
    """The mini-batches of one rollout step; every tensor holds all its rows, each mini-batch fills in its own."""

    def __init__(
        self,
        optimizer: Optimizer,
        method: Method,
        batch: RolloutBatch,
        scorer: Scorer,
        rule: LossRule,
        at: StepContext,
        skip_zero_weight_rows: bool,
        guard: Guard,
    ) -> None:
        self.optimizer, self.method, self.batch, self.scorer = optimizer, method, batch, scorer
        self.rule, self.at, self.skip, self.guard = rule, at, skip_zero_weight_rows, guard
        self.response_BT, self.imitated_BT = batch.response_BT(), batch.imitated_BT()
        self.alpha_BT, self.beta_BT, self.scale_BT = torch.zeros(3, *self.response_BT.shape)
        self.old_logp_BT, self.logp_BT, self.entropy_BT = torch.zeros(3, *self.response_BT.shape)
        self.clip = replace(rule.clip, explored=method.clips_explored)
        # A gradient without imitated tokens has no parts to tell apart.
        self.measures = rule.measures_parts(at.step) and bool(self.imitated_BT.any())
        self.report = UpdateReport()

    def run(self) -> UpdateReport:
        parts = self.batch.mini_batches(self.rule.mini_batches)
        if self._prepared(parts):
            for part, rows in enumerate(parts):
                self._mini_batch(part, rows)
        taken = len(parts) - self.report.skipped
        self.report.loss = self.report.loss / taken if taken else math.nan
        self.report.grad_norm = self.report.grad_norm / taken if taken else math.nan
        self.report.weights = TokenWeights(self.alpha_BT, self.beta_BT)
        return self.report

    def _prepared(self, parts: list[Tensor]) -> bool:
        """Weigh the rows and remember the old policy; whether there is anything to take a step from."""
        everything = torch.arange(len(self.batch))
        try:
            require_finite(reward=self.batch.reward_B)
            if not self.rule.entropy_of_current:
                entropy_BT = self._entropies(everything)
                self._report_entropy(entropy_BT)
                for part, rows in enumerate(parts):
                    self._weigh(part, rows, entropy_BT)
            # The first mini-batch meets the old policy itself: its old log-probabilities are its current ones.
            self._remember_old(torch.cat(parts[1:]) if parts[1:] else torch.arange(0))
        except NonFiniteError as error:
            self._leave_out(error, None, everything, steps=len(parts))
            return False
        return True

    def _mini_batch(self, part: int, rows: Tensor) -> None:
        before = copy.deepcopy(self.report)
        try:
            if self.rule.entropy_of_current:
                self._weigh(part, rows, self._entropies(rows))
            self._optimizer_step(part, rows)
        except NonFiniteError as error:
            self.report = before
            self._leave_out(error, part, rows, steps=1)

    def _leave_out(self, error: NonFiniteError, part: int | None, rows: Tensor, *, steps: int) -> None:
        """Count optimizer steps that are not taken, or raise what the guard raises."""
        self.optimizer.skipped_in_a_row += 1
        self.report.skipped += steps
        seen = {"alpha": self.alpha_BT, "beta": self.beta_BT, "entropy": self.entropy_BT}
        seen |= {"old_logp": self.old_logp_BT, "logp": self.logp_BT}
        batch = batch_of(self.scorer.responses, rows, seen)
        self.guard.meet(error, self.at, part, batch, self.optimizer.skipped_in_a_row)
        self.alpha_BT[rows] = self.beta_BT[rows] = 0.0

    def _entropies(self, rows: Tensor) -> Tensor | None:
        """Entropies of those among these rows that the method looks at, if it asks for any."""
        if not self.method.wants_entropy:
            return None
        self.entropy_BT = entropy_BT = self.scorer.entropies(rows[self.method.entropy_rows(self.batch)[rows]])
        require_finite(entropies=entropy_BT)
        return entropy_BT

    def _weigh(self, part: int, rows: Tensor, entropy_BT: Tensor | None) -> None:
        """Fill in the weights of a mini-batch's tokens and the scale of its rows."""
        mini = self.batch.rows(rows)
        entropy_BT = None if entropy_BT is None else entropy_BT[rows, : mini.width]
        weights = self.method.weights(mini, entropy_BT, self.at, part)
        self.alpha_BT[rows, : mini.width] = weights.alpha_BT
        self.beta_BT[rows, : mini.width] = weights.beta_BT
        require_finite(advantages=weights.alpha_BT, weights_of_imitated_tokens=weights.beta_BT)
        self.scale_BT[rows, : mini.width] = token_scale(
            mini, self.rule.aggregation, self.rule.constant, self.method.imitation.scale
        )

    def _remember_old(self, rows: Tensor) -> None:
        """Log-probabilities of rows that the policy will meet after it has moved."""
        known = not self.rule.entropy_of_current
        self.old_logp_BT = self.scorer.logprobs(self._active(rows) if known else rows)
        require_finite(**{"log-probabilities": self.old_logp_BT})

    def _active(self, rows: Tensor) -> Tensor:
        """The rows that the update must see."""
        return rows[self._weighted_BT(rows).any(dim=1)] if self.skip else rows

    def _weighted_BT(self, rows: Tensor) -> Tensor:
        weighted_BT: Tensor = (self.alpha_BT[rows] != 0) | (self.beta_BT[rows] != 0)
        return weighted_BT

    def _optimizer_step(self, part: int, rows: Tensor) -> None:
        self.optimizer.zero_grad()
        parts = GradientParts(self.scorer.policy) if self.measures else None
        loss = sum(
            self._backward(micro, parts, first=part == 0)
            for micro in self.scorer.micro_batches(self._active(rows))
        )
        if parts is not None:
            imitated, explored = parts.norms()
            self.report.norm_imitated.append(imitated)
            self.report.norm_explored.append(explored)
        norm = self.optimizer.step() if math.isfinite(loss) else math.nan
        if not math.isfinite(norm):
            raise self._not_finite(loss, norm)
        self.report.loss += loss
        self.report.grad_norm += norm

    def _not_finite(self, loss: float, norm: float) -> NonFiniteError:
        rate = self.optimizer.learning_rate
        if not math.isfinite(loss):
            return NonFiniteError("loss", loss=loss, learning_rate=rate)
        parameters = broken_gradients(self.scorer.policy)
        return NonFiniteError("gradient", loss=loss, norm=norm, learning_rate=rate, parameters=parameters)

    def _backward(self, rows: Tensor, parts: GradientParts | None, *, first: bool) -> float:
        """Add one micro-batch's gradient; returns its share of the mini-batch's loss."""
        width = int(self.batch.response_length_B[rows].max())
        weights = TokenWeights(self.alpha_BT[rows, :width], self.beta_BT[rows, :width])
        explored_BT = (self.response_BT & ~self.imitated_BT)[rows, :width]
        bonus = self.rule.entropy_coefficient
        explores = bool((weights.alpha_BT != 0).any()) or bonus > 0
        logp_BT, entropy_BT = self.scorer.forward(rows, with_entropy=explores)
        self.logp_BT[rows, :width] = logp_BT.detach()
        require_finite(**{"log-probabilities": logp_BT}, entropies=entropy_BT)
        losses = surrogate(
            logp_BT,
            logp_BT.detach() if first else self.old_logp_BT[rows, :width],
            weights,
            # Without a weight a token has no loss; leaving it out keeps it out of the metrics too.
            response_BT=self._weighted_BT(rows)[:, :width],
            imitated_BT=self.imitated_BT[rows, :width],
            imitation=self.method.imitation,
            clip=self.clip,
        )
        loss_BT = losses.loss_BT
        if bonus and entropy_BT is not None:
            loss_BT = loss_BT + entropy_bonus(entropy_BT, explored_BT, bonus)
        loss_BT = loss_BT * self.scale_BT[rows, :width]
        if parts is not None:
            parts.add_imitated(loss_BT, weights.beta_BT != 0)
        loss = loss_BT.sum()
        loss.backward()
        self._report(losses, weights, entropy_BT)
        return float(loss.detach())

    def _report_entropy(self, entropy_BT: Tensor | None) -> None:
        if entropy_BT is not None and bool(self.imitated_BT.any()):
            self.report.entropy_imitated = float(entropy_BT[self.imitated_BT].mean())

    def _report(self, losses: Surrogate, weights: TokenWeights, entropy_BT: Tensor | None) -> None:
        explored_BT, imitated_BT = weights.alpha_BT != 0, weights.beta_BT != 0
        self.report.clipped += float(losses.clipped)
        self.report.log_ratio += float(losses.log_ratio)
        self.report.ratio_tokens += float(losses.tokens)
        if entropy_BT is not None:
            self.report.entropy += float(entropy_BT.detach()[explored_BT].sum())
        self.report.explored_tokens += int(explored_BT.sum())
        self.report.imitated_tokens += int(imitated_BT.sum())
        self.report.rows += int((explored_BT | imitated_BT).any(dim=1).sum())
