"""Sampling with a model of `transformers` on the CPU; a token depends on its row alone.

Axes: B rows that are sampled together, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prefix_rft import keyed


@dataclass
class Row:
    """One request and what has been written for it."""

    prompt: list[int]
    temperature: float
    room: int
    """Most tokens to write."""
    seed: int
    written: list[int] = field(default_factory=list)
    ended: bool = False

    def take(self, token: int, ends: set[int]) -> None:
        """Write one token."""
        self.written.append(token)
        self.ended = token in ends or len(self.written) == self.room


@torch.no_grad()
def sample(model: Any, rows: Sequence[Row], ends: set[int]) -> None:
    """Write every row to its end; rows are padded on the left."""
    ids_BL, seen_BL = _padded([row.prompt for row in rows])
    cache, step_ids = None, ids_BL
    position = (seen_BL.cumsum(1) - 1).clamp(min=0)
    while not all(row.ended for row in rows):
        out = model(
            input_ids=step_ids,
            attention_mask=seen_BL,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
        )
        cache = out.past_key_values
        token_B = _draw(out.logits[:, -1].float(), rows)
        for row, token in zip(rows, token_B.tolist(), strict=True):
            if not row.ended:
                row.take(token, ends)
        step_ids, position = token_B[:, None], position[:, -1:] + 1
        seen_BL = torch.cat([seen_BL, torch.ones(len(rows), 1, dtype=torch.long)], dim=1)


def _draw(logits_BV: Tensor, rows: Sequence[Row]) -> Tensor:
    """The most likely token at temperature 0, else one by inverse CDF."""
    heat_B = torch.tensor([row.temperature for row in rows])
    p_BV = torch.softmax(logits_BV / heat_B.clamp(min=1e-6)[:, None], dim=-1).double()
    uniform_B = torch.tensor([_uniform(row) for row in rows], dtype=torch.float64)
    drawn_B = (p_BV.cumsum(-1) < uniform_B[:, None] * p_BV.sum(-1, keepdim=True)).sum(-1)
    drawn_B = drawn_B.clamp(max=logits_BV.shape[1] - 1)
    return torch.where(heat_B > 0, drawn_B, logits_BV.argmax(-1))


def _uniform(row: Row) -> float:
    key_B = np.array([row.seed], dtype=np.uint64)
    return float(keyed.uniforms(key_B, np.array([len(row.written)], dtype=np.uint64))[0, 0])


def _padded(prompts: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    seen = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    return ids, seen
