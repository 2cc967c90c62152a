"""What one rollout step says of itself in metrics.jsonl; the same names and sums on every backend.

Axes: B rows (responses).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from prefix_rft.rollout import RolloutBatch, TokenWeights


@dataclass
class UpdateReport:
    """Sums and means over one rollout step's updates; rows and tokens without a weight are left out.

    So is what belongs to a mini-batch whose optimizer step was left out.
    """

    loss: float = 0.0
    """Mean over mini-batches; NaN where no step was taken."""
    grad_norm: float = 0.0
    """Mean over mini-batches, before clipping."""
    clipped: float = 0.0
    log_ratio: float = 0.0
    ratio_tokens: float = 0.0
    entropy: float = 0.0
    """Sum over explored tokens."""
    entropy_imitated: float | None = None
    """Mean over all imitated tokens, updated or not, under the policy that made the rollouts; None: not looked at."""
    norm_imitated: list[float] = field(default_factory=list)
    """Norm of the imitated tokens' part of the gradient, of each mini-batch where it is measured."""
    norm_explored: list[float] = field(default_factory=list)
    explored_tokens: int = 0
    imitated_tokens: int = 0
    rows: int = 0
    skipped: int = 0
    """Optimizer steps left out, since a number was not finite."""
    weights: TokenWeights | None = None
    """Of all the step's tokens, for a look at single responses; not among the metrics."""

    def metrics(self) -> dict[str, float]:
        """Values under the names of metrics.jsonl."""
        values = {
            "loss": self.loss,
            "grad_norm": self.grad_norm,
            "updated_rows": float(self.rows),
            "imitated_tokens": float(self.imitated_tokens),
            "explored_tokens": float(self.explored_tokens),
        }
        if self.imitated_tokens + self.explored_tokens:
            values["imitated_share"] = self.imitated_tokens / (self.imitated_tokens + self.explored_tokens)
        if self.entropy_imitated is not None:
            values["entropy_imitated"] = self.entropy_imitated
        if self.norm_imitated:
            imitated, explored = sum(self.norm_imitated), sum(self.norm_explored)
            values["grad_norm_imitated"] = imitated / len(self.norm_imitated)
            values["grad_norm_explored"] = explored / len(self.norm_explored)
            if imitated + explored:
                values["grad_share_imitated"] = imitated / (imitated + explored)
        if self.ratio_tokens:
            values["clip_fraction"] = self.clipped / self.ratio_tokens
            values["approx_kl"] = self.log_ratio / self.ratio_tokens
        if self.explored_tokens:
            values["entropy"] = self.entropy / self.explored_tokens
        return values if not self.skipped else finite(values) | {"skipped_nonfinite": float(self.skipped)}


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """Those values that are numbers; metrics.jsonl takes no others."""
    return {name: value for name, value in values.items() if math.isfinite(value)}


def rollout_metrics(batch: RolloutBatch, finished_B: Tensor, statuses: Mapping[str, int]) -> dict[str, float]:
    """Rewards, lengths and prefix shares of one rollout step.

    Args:
        batch: all its graded rows.
        finished_B: bool: the response ended by itself within its budget.
        statuses: verdicts by status.
    """
    hybrid_B, complete = batch.hybrid_B, batch.prefix_length_B == batch.response_length_B
    ordinary_B, hybrid_B = ~hybrid_B, hybrid_B & ~complete
    values: dict[str, float] = {}
    length_B = batch.response_length_B.float()
    if bool(ordinary_B.any()):
        values["reward"] = float(batch.reward_B[ordinary_B].mean())
        values["response_length"] = float(length_B[ordinary_B].mean())
        values["truncated"] = float((~finished_B[ordinary_B]).float().mean())
    if bool(hybrid_B.any()):
        prefix_B = batch.prefix_length_B[hybrid_B].float()
        values["reward_hybrid"] = float(batch.reward_B[hybrid_B].mean())
        if "reward" in values:
            values["reward_gap"] = values["reward_hybrid"] - values["reward"]
        values["response_length_hybrid"] = float(length_B[hybrid_B].mean())
        values["prefix_tokens"] = float(prefix_B.mean())
        values["prefix_share"] = float((prefix_B / length_B[hybrid_B]).mean())
    for status, count in sorted(statuses.items()):
        if status not in ("ok", "no_answer"):
            values[f"grading/{status}"] = float(count)
    return values
