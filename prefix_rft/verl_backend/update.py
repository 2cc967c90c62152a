"""The optimizer steps of one rollout step on verl: rows dealt out, scored, weighed, and one call for each mini-batch.

Axes: B rows (responses) of the rollout step, T response tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor
from transfer_queue import KVBatchMeta

from prefix_rft.nonfinite import Batch, Guard, NonFiniteError, require_finite
from prefix_rft.reporting import UpdateReport
from prefix_rft.rollout import RolloutBatch, StepContext
from prefix_rft.verl_backend.columns import answers, columns, response_columns
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
    question_ids: Sequence[str] = ()
    """Of each row."""
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
            TrainingError: a reward, an entropy, a loss or a gradient is not finite; the rows are written down.
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
        self._require_finite(plan, reward=self.graded.reward_B, entropies=old_BT)
        weighed, report, entropy_BT = self._weigh(plan, parts, old_BT), UpdateReport(), old_BT.clone()
        for part, rows in enumerate(parts):
            # The first mini-batch meets the policy that made the rollouts.
            if part and self.job.weighs_by_current_entropy:
                entropy_BT[rows] = self._entropies(plan, part, rows)
                weighed = self._weigh(plan, parts, entropy_BT)
            self._optimizer_step(plan.part(part), part, rows, report)
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

    def _require_finite(self, plan: Arrangement, **quantities: Tensor) -> None:
        try:
            require_finite(**quantities)
        except NonFiniteError as error:
            self._refuse(error, plan.batch.partition_id, None, torch.arange(len(self.keys)))

    def _refuse(self, error: NonFiniteError, partition: str, part: int | None, rows: Tensor) -> None:
        """Write the rows down and stop; a guard that stops always raises."""
        written = answers([self.keys[row] for row in rows.tolist()], partition)
        ids_BT = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in written], batch_first=True)
        made = {
            item.name.removesuffix("_B"): getattr(self.graded, item.name)[rows]
            for item in fields(self.graded)
        }
        named = [self.question_ids[row] for row in rows.tolist()] if self.question_ids else ()
        guard = Guard(self.job.run.path, settings=f"optimisation.{self.job.method.phase}", can_skip=False)
        guard.meet(error, self.at, part, Batch({"responses": ids_BT, **made}, named), 1)

    def _optimizer_step(self, batch: KVBatchMeta, part: int, rows: Tensor, report: UpdateReport) -> None:
        bonus = self.job.entropy_coefficient > 0
        batch.extra_info.update(update_info(len(batch), temperature=self.job.temperature, with_entropy=bonus))
        values = read_update(self.workers.update_actor(batch))
        loss, norm = values.pop("loss"), values.pop("grad_norm")
        if not math.isfinite(loss) or not math.isfinite(norm):
            # verl leaves a step out whose gradient norm is not finite, and says nothing.
            error = NonFiniteError("loss or gradient", loss=loss, norm=norm)
            self._refuse(error, batch.partition_id, part, rows)
        report.loss += loss
        report.grad_norm += norm
        report.clipped += values.pop("clipped")
        report.log_ratio += values.pop("log_ratio")
        report.ratio_tokens += values.pop("ratio_tokens")
        values.pop("lr", None)  # verl's scheduler stands still; the optimizer follows our course
        self.theirs.update({f"actor/{name}": value for name, value in values.items()})
