"""The optimizer steps of one rollout step on verl: rows dealt out, scored, weighed, and one call for each mini-batch.

Axes: B rows (responses) of the rollout step, T response tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transfer_queue import KVBatchMeta

from prefix_rft.errors import TrainingError
from prefix_rft.reporting import UpdateReport
from prefix_rft.rollout import RolloutBatch, StepContext
from prefix_rft.verl_backend.columns import columns, response_columns
from prefix_rft.verl_backend.job import Job
from prefix_rft.verl_backend.mini_batches import Arrangement, arrange
from prefix_rft.verl_backend.rows import WeighedRows, weigh


def data_parallel(group: Any) -> int:
    """Data-parallel workers of verl's worker group."""
    if "actor" not in group._dispatch_info:
        group._dispatch_info["actor"] = group._query_dispatch_info("actor")
    return 1 + int(max(group._dispatch_info["actor"]))


def update_info(rows: int, *, temperature: float, with_entropy: bool) -> dict[str, Any]:
    """What goes with a batch of `rows` rows that is one mini-batch.

    Args:
        rows: fillers included.
        temperature: divides the logits.
        with_entropy: whether the loss needs entropies.
    """
    return {
        "calculate_entropy": with_entropy,
        "distillation_use_topk": False,
        "distillation_only": False,
        "global_batch_size": rows,
        "mini_batch_size": rows,
        "epochs": 1,
        "seed": 0,  # nothing is shuffled
        "dataloader_kwargs": {"shuffle": False},
        "temperature": temperature,
    }


def read_update(output: Any) -> dict[str, float]:
    """Loss, gradient norm, the loss's sums and verl's own metrics, by name."""
    return {name: float(torch.tensor(value).float().mean()) for name, value in output["metrics"].items()}


@dataclass
class Update:
    """One rollout step's."""

    job: Job
    workers: Any
    """verl's worker group."""
    keys: list[str]
    """Of the rows in our order, in verl's queue."""
    graded: RolloutBatch
    at: StepContext
    theirs: dict[str, float] = field(default_factory=dict)
    """verl's own metrics of the optimizer steps."""

    def run(
        self, queued: KVBatchMeta, score: Callable[[KVBatchMeta], None]
    ) -> tuple[KVBatchMeta, UpdateReport]:
        """Take the optimizer steps; all rows with their fillers, and what is reported.

        Args:
            queued: the rows as verl's queue knows them, in any order.
            score: has verl store old log-probabilities and entropies of a batch.

        Raises:
            TrainingError: a loss or a gradient is not finite.
        """
        parts = self.graded.mini_batches(self.job.mini_batches)
        shares = data_parallel(self.workers)
        plan = arrange(self.keys, parts, queued, shares, self.job.encoder.eos_id)
        score(plan.all_rows(self.job.temperature))
        report = self._steps(plan, parts)
        report.loss /= len(parts)
        report.grad_norm /= len(parts)
        return plan.all_rows(self.job.temperature), report

    def _steps(self, plan: Arrangement, parts: Sequence[Tensor]) -> UpdateReport:
        """Weigh all rows once, or each mini-batch again by entropies of the policy that it meets."""
        old_BT = columns(self.keys, plan.batch.partition_id, "entropy", self.graded.width)
        weighed, report, entropy_BT = self._weigh(plan, parts, old_BT), UpdateReport(), old_BT.clone()
        for part, rows in enumerate(parts):
            # The first mini-batch meets the policy that made the rollouts.
            if part and self.job.weighs_by_current_entropy:
                entropy_BT[rows] = self._entropies(plan, part, rows)
                weighed = self._weigh(plan, parts, entropy_BT)
            self._optimizer_step(plan.part(part), part, report)
        self._count(report, weighed, old_BT)
        return report

    def _entropies(self, plan: Arrangement, part: int, rows: Tensor) -> Tensor:
        """Of a mini-batch's response tokens under the policy as it is now; [its rows, T]."""
        batch = plan.part(part)
        batch.extra_info.update(
            {"calculate_entropy": True, "compute_loss": False, "temperature": self.job.temperature}
        )
        self.workers.compute_log_prob(batch)
        keys = [self.keys[row] for row in rows.tolist()]
        return response_columns(keys, plan.batch.partition_id, "entropy", self.graded.width)

    def _weigh(self, plan: Arrangement, parts: Sequence[Tensor], entropy_BT: Tensor) -> WeighedRows:
        """Store the method's weights beside verl's columns."""
        weighed = weigh(
            self.job.method,
            self.graded,
            parts,
            entropy_BT if self.job.method.wants_entropy else None,
            self.at,
            self.job.phase.aggregation,
            self.job.config.data.max_response_tokens,
        )
        plan.put(self.graded, weighed)
        return weighed

    def _count(self, report: UpdateReport, weighed: WeighedRows, entropy_BT: Tensor) -> None:
        """What the weights alone say; entropies are those of the policy that made the rollouts."""
        explored_BT, imitated_BT = weighed.alpha_BT != 0, weighed.beta_BT != 0
        demonstrated_BT = self.graded.imitated_BT()
        report.entropy = float(entropy_BT[explored_BT].sum())
        if self.job.method.wants_entropy and bool(demonstrated_BT.any()):
            report.entropy_imitated = float(entropy_BT[demonstrated_BT].mean())
        report.explored_tokens = int(explored_BT.sum())
        report.imitated_tokens = int(imitated_BT.sum())
        report.rows = int((explored_BT | imitated_BT).any(dim=1).sum())

    def _optimizer_step(self, batch: KVBatchMeta, part: int, report: UpdateReport) -> None:
        bonus = self.job.entropy_coefficient > 0
        batch.extra_info.update(update_info(len(batch), temperature=self.job.temperature, with_entropy=bonus))
        values = read_update(self.workers.update_actor(batch))
        loss, norm = values.pop("loss"), values.pop("grad_norm")
        if not (abs(loss) < float("inf") and abs(norm) < float("inf")):
            raise TrainingError(
                f"rollout step {self.at.step + 1}, mini-batch {part + 1}: loss {loss} or gradient norm {norm} is not "
                f"finite. Lower the learning rate or max_grad_norm (optimisation.{self.job.method.phase}), or look at "
                "the questions of this step; the last checkpoint is from before it"
            )
        report.loss += loss
        report.grad_norm += norm
        report.clipped += values.pop("clipped")
        report.log_ratio += values.pop("log_ratio")
        report.ratio_tokens += values.pop("ratio_tokens")
        values.pop("lr", None)  # verl's scheduler stands still; the optimizer follows our course
        self.theirs.update({f"actor/{name}": value for name, value in values.items()})
