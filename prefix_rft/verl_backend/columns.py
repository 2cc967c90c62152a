"""Reading and writing columns of verl's queue (TransferQueue), row by row of different lengths.

Axes: B rows, T response tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import transfer_queue as tq
from tensordict import TensorDict
from torch import Tensor
from verl.workers.utils.padding import response_from_nested


def answers(keys: Sequence[str], partition: str) -> list[list[int]]:
    """Token ids of the responses under these keys."""
    found = tq.kv_batch_get(keys=list(keys), partition_id=partition, select_fields=["responses"])
    return [row.tolist() for row in found["responses"].unbind()]


def columns(keys: Sequence[str], partition: str, name: str, width: int) -> Tensor:
    """A column of one number for each response token, padded with zeros; [B, T] float32."""
    found = tq.kv_batch_get(keys=list(keys), partition_id=partition, select_fields=[name])
    return _padded(found[name], width)


def response_columns(keys: Sequence[str], partition: str, name: str, width: int) -> Tensor:
    """The same of a column that verl's workers computed at every token, prompts included."""
    found = tq.kv_batch_get(keys=list(keys), partition_id=partition, select_fields=[name, "response_mask"])
    return _padded(response_from_nested(found[name], found["response_mask"]), width)


def _padded(rows: Tensor, width: int) -> Tensor:
    padded_BT = torch.zeros(len(rows), width)
    for row, values in enumerate(rows.unbind()):
        padded_BT[row, : len(values)] = values.float()
    return padded_BT


def put_columns(keys: Sequence[str], partition: str, values: Mapping[str, Sequence[Tensor]]) -> None:
    """Store a tensor for each key and name."""
    fields = {
        name: torch.nested.as_nested_tensor(list(rows), layout=torch.jagged) for name, rows in values.items()
    }
    tq.kv_batch_put(keys=list(keys), partition_id=partition, fields=TensorDict(fields, batch_size=len(keys)))
