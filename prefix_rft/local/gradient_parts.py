"""How much of a mini-batch's gradient comes from imitated tokens, and how much from explored ones.

Axes: B rows, T response tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from prefix_rft.local.optimizer import total_norm
from prefix_rft.local.policy import Policy


class GradientParts:
    """Collects the imitated tokens' gradient beside the ordinary backward passes, which it leaves untouched.

    The explored part is the rest: all of the gradient that the parameters hold in the end, less the imitated part.
    """

    def __init__(self, policy: Policy) -> None:
        self._parameters = list(policy.parameters())
        self._imitated = [torch.zeros_like(parameter) for parameter in self._parameters]

    def add_imitated(self, loss_BT: Tensor, imitated_BT: Tensor) -> None:
        """Add a micro-batch's part, before its own backward pass.

        Args:
            loss_BT: scaled token losses, differentiable.
            imitated_BT: True on updated imitated tokens.
        """
        if not bool(imitated_BT.any()):
            return
        found = torch.autograd.grad(
            loss_BT[imitated_BT].sum(), self._parameters, retain_graph=True, allow_unused=True
        )
        for total, part in zip(self._imitated, found, strict=True):
            if part is not None:
                total += part

    def norms(self) -> tuple[float, float]:
        """Norms of the imitated and of the explored part, before clipping."""
        explored = [
            (torch.zeros_like(part) if parameter.grad is None else parameter.grad) - part
            for parameter, part in zip(self._parameters, self._imitated, strict=True)
        ]
        return float(total_norm(self._imitated)), float(total_norm(explored))
