"""One rollout step's optimizer updates: mini-batches of whole questions, micro-batches by token budget.

The update does not know which method it runs: a method gives the weights, `objective` the losses.

Axes: B rows (responses), L tokens of prompt and response, T response tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from prefix_rft.errors import TrainingError
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import Policy
from prefix_rft.local.rollouts import Responses
from prefix_rft.methods.base import Method
from prefix_rft.objective import PpoClip, entropy_bonus, row_scale, surrogate
from prefix_rft.rollout import StepContext, TokenWeights
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
        )


@dataclass(frozen=True)
class Batching:
    """How rows are packed; changes speed and memory, never the loss."""

    micro_batch_tokens: int
    skip_zero_weight_rows: bool


@dataclass
class UpdateReport:
    """Sums and means over one rollout step's updates."""

    loss: float = 0.0
    """Mean over mini-batches."""
    grad_norm: float = 0.0
    """Mean over mini-batches, before clipping."""
    clipped: float = 0.0
    log_ratio: float = 0.0
    ratio_tokens: float = 0.0
    entropy: float = 0.0
    """Sum over explored tokens of the updated rows."""
    explored_tokens: int = 0
    imitated_tokens: int = 0
    """Imitated tokens with a weight other than 0."""
    rows: int = 0
    """Rows that went through the update."""

    def metrics(self) -> dict[str, float]:
        """Values under the names of metrics.jsonl."""
        values = {
            "loss": self.loss,
            "grad_norm": self.grad_norm,
            "updated_rows": float(self.rows),
            "imitated_tokens": float(self.imitated_tokens),
        }
        if self.ratio_tokens:
            values["clip_fraction"] = self.clipped / self.ratio_tokens
            values["approx_kl"] = self.log_ratio / self.ratio_tokens
        if self.explored_tokens:
            values["entropy"] = self.entropy / self.explored_tokens
        return values


def update(
    policy: Policy,
    optimizer: Optimizer,
    method: Method,
    responses: Responses,
    rule: LossRule,
    batching: Batching,
    at: StepContext,
) -> UpdateReport:
    """Take the optimizer steps of one rollout step.

    Raises:
        TrainingError: a loss or a gradient is not finite.
    """
    return _Update(policy, optimizer, method, responses, rule, batching, at).run()


class _Update:
    def __init__(
        self,
        policy: Policy,
        optimizer: Optimizer,
        method: Method,
        responses: Responses,
        rule: LossRule,
        batching: Batching,
        at: StepContext,
    ) -> None:
        self.policy, self.optimizer, self.method, self.rule = policy, optimizer, method, rule
        self.responses, self.batch, self.batching, self.at = responses, responses.batch, batching, at
        self.response_BT = self.batch.response_BT()
        self.imitated_BT = self.batch.imitated_BT()
        self.old_logp_BT = torch.zeros(self.response_BT.shape, device=policy.device)
        self.entropy_BT = torch.zeros(self.response_BT.shape, device=policy.device)
        self.report = UpdateReport()

    def run(self) -> UpdateReport:
        parts = self._parts()
        self._see_old_policy(parts)
        for part, rows in enumerate(parts):
            self._optimizer_step(part, rows)
        self.report.loss /= len(parts)
        self.report.grad_norm /= len(parts)
        return self.report

    def _parts(self) -> list[Tensor]:
        """Row indices of each mini-batch; questions are in random order already, so runs of them will do."""
        question_B = self.batch.question_B
        questions = int(question_B.max()) + 1
        part_B = question_B * self.rule.mini_batches // questions
        return [(part_B == part).nonzero()[:, 0] for part in range(int(part_B.max()) + 1)]

    def _see_old_policy(self, parts: list[Tensor]) -> None:
        """Entropies that select, and log-probabilities where the policy will have moved before its mini-batch.

        The first mini-batch meets the old policy itself: its old log-probabilities are its current ones.
        """
        if self.method.wants_entropy and not self.rule.entropy_of_current:
            self._score(self.batch.hybrid_B.nonzero()[:, 0], with_entropy=True)
        for part, rows in enumerate(parts[1:], start=1):
            weights = None if self.rule.entropy_of_current else self._weights(part, rows)
            self._score(self._active(rows, weights), with_entropy=False)

    def _weights(self, part: int, rows: Tensor) -> TokenWeights:
        """Weights of a mini-batch's rows, [rows, T of the whole batch]."""
        mini = self.batch.rows(rows)
        entropy_BT = self.entropy_BT[rows, : mini.width] if self.method.wants_entropy else None
        weights = self.method.weights(mini, entropy_BT, self.at, part)
        missing = self.response_BT.shape[1] - mini.width
        pad = torch.nn.functional.pad
        return TokenWeights(pad(weights.alpha_BT, (0, missing)), pad(weights.beta_BT, (0, missing)))

    def _active(self, rows: Tensor, weights: TokenWeights | None) -> Tensor:
        """The rows that the update must see."""
        if weights is None or not self.batching.skip_zero_weight_rows:
            return rows
        return rows[((weights.alpha_BT != 0) | (weights.beta_BT != 0)).any(dim=1)]

    def _optimizer_step(self, part: int, rows: Tensor) -> None:
        if self.method.wants_entropy and self.rule.entropy_of_current:
            self._score(rows[self.batch.hybrid_B[rows]], with_entropy=True, keep_logp=False)
        weights = self._weights(part, rows)
        length_B = self.batch.response_length_B[rows]
        scale_B = row_scale(
            self.rule.aggregation, length_B, len(rows), int(length_B.sum()), self.rule.constant
        )
        place_B = torch.full((len(self.batch),), -1, device=rows.device)
        place_B[rows] = torch.arange(len(rows), device=rows.device)
        self.optimizer.zero_grad()
        loss = 0.0
        for micro in self._micro_batches(self._active(rows, weights)):
            place = place_B[micro]
            chosen = TokenWeights(weights.alpha_BT[place], weights.beta_BT[place])
            loss += self._backward(micro, chosen, scale_B[place], first=part == 0)
        self._finish(part, loss)

    def _finish(self, part: int, loss: float) -> None:
        norm = self.optimizer.step()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"rollout step {self.at.step + 1}, mini-batch {part + 1}: loss {loss} or gradient norm {norm} is not "
                "finite; the run continues from its last checkpoint, with a lower learning rate if it diverged"
            )
        self.report.loss += loss
        self.report.grad_norm += norm

    def _backward(self, rows: Tensor, weights: TokenWeights, scale_B: Tensor, *, first: bool) -> float:
        """Add one micro-batch's gradient; returns its share of the mini-batch's loss."""
        width = int(self.batch.response_length_B[rows].max())
        explores = bool((weights.alpha_BT != 0).any()) or self.rule.entropy_coefficient > 0
        logp_BT, entropy_BT = self._forward(rows, with_entropy=explores)
        response_BT, imitated_BT = self.response_BT[rows, :width], self.imitated_BT[rows, :width]
        losses = surrogate(
            logp_BT,
            logp_BT.detach() if first else self.old_logp_BT[rows, :width],
            TokenWeights(weights.alpha_BT[:, :width], weights.beta_BT[:, :width]),
            response_BT=response_BT,
            imitated_BT=imitated_BT,
            imitation=self.method.imitation,
            clip=self.rule.clip,
        )
        loss_BT, explored_BT = losses.loss_BT, response_BT & ~imitated_BT
        if self.rule.entropy_coefficient and entropy_BT is not None:
            loss_BT = loss_BT + entropy_bonus(entropy_BT, explored_BT, self.rule.entropy_coefficient)
        loss = (loss_BT * scale_B[:, None]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        self.report.clipped += float(losses.clipped)
        self.report.log_ratio += float(losses.log_ratio)
        self.report.ratio_tokens += float(losses.tokens)
        if entropy_BT is not None:
            self.report.entropy += float((entropy_BT.detach() * explored_BT).sum())
            self.report.explored_tokens += int(explored_BT.sum())
        self.report.imitated_tokens += int((weights.beta_BT != 0).sum())
        self.report.rows += len(rows)
        return float(loss.detach())

    @torch.no_grad()
    def _score(self, rows: Tensor, *, with_entropy: bool, keep_logp: bool = True) -> None:
        """Log-probabilities and entropies of some rows under the policy as it is now."""
        for micro in self._micro_batches(rows):
            logp_BT, entropy_BT = self._forward(micro, with_entropy=with_entropy)
            width = logp_BT.shape[1]
            if keep_logp:
                self.old_logp_BT[micro, :width] = logp_BT
            if entropy_BT is not None:
                self.entropy_BT[micro, :width] = entropy_BT

    def _forward(self, rows: Tensor, *, with_entropy: bool) -> tuple[Tensor, Tensor | None]:
        prompt_length_B = self.responses.prompt_length_B[rows]
        response_length_B = self.batch.response_length_B[rows]
        longest = int((prompt_length_B + response_length_B).max())
        return self.policy.logprobs(
            self.responses.ids_BL[rows, :longest],
            prompt_length_B,
            response_length_B,
            with_entropy=with_entropy,
            temperature=self.rule.temperature,
        )

    def _micro_batches(self, rows: Tensor) -> list[Tensor]:
        """Rows sorted by length and cut so that rows times longest row stays within the token budget."""
        length_B = self.responses.prompt_length_B[rows] + self.batch.response_length_B[rows]
        order = length_B.argsort(stable=True)
        groups: list[list[int]] = []
        for index, length in zip(rows[order].tolist(), length_B[order].tolist(), strict=True):
            if not groups or (len(groups[-1]) + 1) * length > self.batching.micro_batch_tokens:
                groups.append([])
            groups[-1].append(index)
        return [torch.tensor(group, device=rows.device) for group in groups]
