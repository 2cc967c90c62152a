"""The distinct tokens of right-padded rows: no padding, and a prompt that several rows share only once.

With 8 rollouts a question and prompts as long as responses, nearly half of all tokens are repetitions.

Axes: B rows, L columns of the rows, T response tokens, n distinct tokens, r response tokens, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Packed:
    """Distinct input tokens, and where they stand."""

    token_n: Tensor
    """int64 token ids."""
    position_n: Tensor
    """int64 column of each, which is its position."""
    place_n: Tensor
    """int64 index of each in the flattened [B, L]."""
    slot_BL: Tensor
    """int64: which distinct token stands at each place; padding points anywhere."""

    def to(self, device: torch.device) -> Packed:
        """The same on another device."""
        return Packed(*(tensor.to(device) for tensor in vars(self).values()))


def pack(ids_BL: Tensor, prompt_length_B: Tensor, length_B: Tensor) -> Packed:
    """Pack rows of `length_B` tokens each, of which equal prompts are taken once.

    A token's hidden state depends on the tokens before it only, so rows agree on a shared prompt.
    """
    rows, width = ids_BL.shape
    column_L = torch.arange(width, device=ids_BL.device)
    in_prompt_BL = column_L < prompt_length_B[:, None]
    owner_B = _first_with_same(ids_BL.masked_fill(~in_prompt_BL, -1))
    own_BL = (column_L < length_B[:, None]) & (
        ~in_prompt_BL | (owner_B == torch.arange(rows, device=ids_BL.device))[:, None]
    )
    place_n = own_BL.flatten().nonzero()[:, 0]
    slot_BL = (own_BL.flatten().cumsum(0) - 1).view(rows, width)
    slot_BL = torch.where(in_prompt_BL, slot_BL[owner_B], slot_BL)
    return Packed(ids_BL.flatten()[place_n], place_n % width, place_n, slot_BL)


def _first_with_same(rows_BL: Tensor) -> Tensor:
    """Index of the first row that equals each row."""
    _, first_U, group_B = np.unique(rows_BL.cpu().numpy(), axis=0, return_index=True, return_inverse=True)
    return torch.from_numpy(first_U[group_B]).to(rows_BL.device)
