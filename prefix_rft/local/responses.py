"""Where response tokens stand in right-padded rows of prompt and response.

Axes: B rows, T response tokens, n all response tokens, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ResponsePositions:
    """Indices of all response tokens."""

    source_n: Tensor
    """Index of the position that predicts each response token, in the flattened [B, width] inputs."""
    target_n: Tensor
    """Index of each response token in the flattened [B, T] responses."""
    rows: int
    width: int
    """T."""

    @classmethod
    def of(cls, prompt_length_B: Tensor, response_length_B: Tensor, input_width: int) -> ResponsePositions:
        """Positions for inputs of `input_width` columns.

        The token at column c of a row is predicted at column c - 1, so inputs may end one column early.
        """
        width = int(response_length_B.max()) if len(response_length_B) else 0
        column_T = torch.arange(width, device=response_length_B.device)
        row_n, step_n = (column_T < response_length_B[:, None]).nonzero(as_tuple=True)
        source_n = row_n * input_width + prompt_length_B[row_n] - 1 + step_n
        return cls(source_n, row_n * width + step_n, len(response_length_B), width)

    def spread(self, values_n: Tensor) -> Tensor:
        """Values as [B, T], zeros beyond each response; differentiable, on the device of the lengths."""
        flat = values_n.new_zeros(self.rows * self.width, device=self.target_n.device)
        return flat.index_copy(0, self.target_n, values_n.to(flat.device)).view(self.rows, self.width)
