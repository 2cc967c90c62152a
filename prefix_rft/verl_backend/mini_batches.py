"""Where verl's workers find the rows of a mini-batch: whole questions, equal shares, fillers that weigh zero.

verl gives each data-parallel worker an equal, consecutive piece of a batch. One call of its update takes one mini-batch
here, so rows may be ordered freely within it; fillers stand in where they do not divide among the workers.

Axes: B rows, T response tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions

from prefix_rft.rollout import RolloutBatch
from prefix_rft.verl_backend.columns import put_columns
from prefix_rft.verl_backend.rows import WeighedRows


@dataclass(frozen=True)
class Arrangement:
    """All rows of a rollout step, mini-batch by mini-batch, as verl's workers take them."""

    keys: list[str]
    """Of the rows in our order."""
    batch: KVBatchMeta
    """The same rows and the fillers."""
    parts: list[list[str]]
    """Keys of each mini-batch, in the order in which they are dealt out."""

    def all_rows(self, temperature: float) -> KVBatchMeta:
        """Every row, fillers included."""
        meta = self.batch.select_keys([key for part in self.parts for key in part])
        meta.fields, meta.extra_info = None, {"temperature": temperature}
        return meta

    def part(self, part: int) -> KVBatchMeta:
        """One mini-batch."""
        meta = self.batch.select_keys(self.parts[part])
        meta.fields, meta.extra_info = None, {}
        return meta

    def put(self, batch: RolloutBatch, weighed: WeighedRows) -> None:
        """Store what each token weighs, in columns beside verl's own; fillers weigh zero."""
        lengths = batch.response_length_B.tolist()
        imitated_BT = batch.imitated_BT().long()
        weight_BT = torch.where(imitated_BT.bool(), weighed.beta_BT, weighed.alpha_BT)
        tables = {
            "alpha": weighed.alpha_BT,
            "beta": weighed.beta_BT,
            "scale": weighed.scale_BT,
            "imitated": imitated_BT,
            # For verl's own metrics.
            "advantages": weight_BT,
            "returns": weight_BT,
        }
        ours = set(self.keys)
        fillers = [key for part in self.parts for key in part if key not in ours]
        rows = {
            name: [table[i, :length].contiguous() for i, length in enumerate(lengths)]
            + [torch.zeros(1, dtype=table.dtype) for _ in fillers]
            for name, table in tables.items()
        }
        put_columns([*self.keys, *fillers], self.batch.partition_id, rows)


def arrange(
    keys: Sequence[str], parts: Sequence[Tensor], batch: KVBatchMeta, workers: int, filler_token: int
) -> Arrangement:
    """Deal the rows out, each worker getting about the same work of each mini-batch.

    Args:
        keys: of the rows in our order.
        parts: which of them each mini-batch takes.
        batch: as verl's queue knows them, in any order.
        workers: data-parallel workers.
        filler_token: of which fillers are made.
    """
    short = [-len(part) % workers for part in parts]
    ordered = batch.select_keys(list(keys))
    if any(short):
        ordered = upsample_batch_to_divisible_size(ordered, len(keys) + sum(short), filler_token)
    ours = set(keys)
    spare = iter(key for key in ordered.keys if key not in ours)
    mine = [
        [keys[i] for i in part.tolist()] + [next(spare) for _ in range(missing)]
        for part, missing in zip(parts, short, strict=True)
    ]
    length = {key: tag["seq_len"] for key, tag in zip(ordered.keys, ordered.tags, strict=True)}
    return Arrangement(list(keys), ordered, [_balanced(part, length, workers) for part in mine])


def _balanced(part: list[str], length: dict[str, int], workers: int) -> list[str]:
    if workers == 1:
        return part
    work = calculate_workload(torch.tensor([length[key] for key in part]))
    shares = get_seqlen_balanced_partitions(work, k_partitions=workers, equal_size=True)
    return [part[i] for share in shares for i in share]
