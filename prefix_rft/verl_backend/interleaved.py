"""SFT steps between rollout steps, on questions that the method names, by the workers' second optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transfer_queue as tq
from tensordict import TensorDict
from transfer_queue import KVBatchMeta

from prefix_rft.methods import make_method
from prefix_rft.objective import ImitationRule, PpoClip
from prefix_rft.rollout import QuestionTokens, StepContext
from prefix_rft.settings import SftMethod, SftPhase
from prefix_rft.verl_backend.columns import put_columns
from prefix_rft.verl_backend.loss import MethodLoss
from prefix_rft.verl_backend.mini_batches import Arrangement, arrange
from prefix_rft.verl_backend.rows import AskedRow, asked_rows, rollout_batch, weigh
from prefix_rft.verl_backend.update import data_parallel, read_update, update_info

PARTITION = "train"
LOSS = MethodLoss(ImitationRule(), PpoClip())
"""Imitated tokens alone; the clip meets none of them."""


@dataclass(frozen=True)
class Interleaved:
    """One step imitates the whole demonstrations of its questions, in one mini-batch; as on the local backend."""

    phase: SftPhase
    workers: Any
    """verl's worker group, of `TwoOptimizersWorker`."""
    max_response: int
    filler_token: int

    def begin(self) -> None:
        """Make the second optimizer."""
        self.workers.begin_second(self.phase, LOSS)

    def step(self, questions: Sequence[QuestionTokens], at: StepContext) -> dict[str, float]:
        """Imitate these questions' demonstrations once; values for metrics.jsonl.

        Args:
            questions: whose demonstrations are imitated; none: nothing is done.
            at: the rollout step.
        """
        if not questions:
            return {}
        method = make_method(SftMethod(), self.max_response)
        rows = asked_rows(method, questions, at)
        batch = rollout_batch(rows, [list(row.request.prefix) for row in rows], torch.zeros(len(rows)))
        whole = [torch.arange(len(rows))]
        keys, queued = self._queued(rows)
        plan = arrange(keys, whole, queued, data_parallel(self.workers), self.filler_token)
        weighed = weigh(method, batch, whole, None, at, self.phase.aggregation, self.max_response)
        plan.put(batch, weighed)
        loss, norm = self._update(plan)
        return {
            "imitation_loss": loss,
            "imitation_grad_norm": norm,
            "imitation_questions": float(len(questions)),
            "imitation_tokens": float(batch.imitated_BT().sum()),
        }

    def _update(self, plan: Arrangement) -> tuple[float, float]:
        part = plan.part(0)
        lengths = [int(tag["response_len"]) for tag in part.tags]
        put_columns(part.keys, PARTITION, {"old_log_probs": [torch.zeros(length) for length in lengths]})
        part.extra_info.update(update_info(len(part), temperature=1.0, with_entropy=False))
        values = read_update(self.workers.imitate(part))
        tq.kv_clear(keys=part.keys, partition_id=PARTITION)
        return values["loss"], values["grad_norm"]

    def _queued(self, rows: Sequence[AskedRow]) -> tuple[list[str], KVBatchMeta]:
        """Put the rows where verl's workers find them."""
        keys = [f"d{i}_0_0" for i in range(len(rows))]
        columns = [_columns(row) for row in rows]
        fields = {
            name: torch.nested.as_nested_tensor([column[name] for column in columns], layout=torch.jagged)
            for name in columns[0]
        }
        tags = [
            {"seq_len": len(column["input_ids"]), "response_len": len(column["responses"])}
            for column in columns
        ]
        tq.kv_batch_put(
            keys=keys, partition_id=PARTITION, fields=TensorDict(fields, batch_size=len(keys)), tags=tags
        )
        return keys, KVBatchMeta(partition_id=PARTITION, keys=keys, tags=tags)


def _columns(row: AskedRow) -> dict[str, torch.Tensor]:
    prompt, response = torch.tensor(row.tokens.prompt), torch.tensor(row.request.prefix)
    ids, ones = torch.cat([prompt, response]), torch.ones_like(response)
    return {
        "prompts": prompt,
        "responses": response,
        "input_ids": ids,
        "position_ids": torch.arange(len(ids)),
        "response_mask": ones,
        "loss_mask": ones.clone(),
    }
