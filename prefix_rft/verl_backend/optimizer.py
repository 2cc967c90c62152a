"""AdamW that follows our course of the learning rate inside verl (`optim.optimizer_impl`, `optim.optimizer`).

verl steps its scheduler once a rollout step, ours goes by optimizer steps; verl's warm-up begins at 0, ours at one part
of the peak. The number of steps taken is read from the optimizer's state, which verl saves and restores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from prefix_rft.learning_rate import learning_rate
from prefix_rft.settings import RlPhase


class CourseAdamW(torch.optim.AdamW):
    """PyTorch's AdamW; sets the learning rate of each step itself, whatever a scheduler wrote before."""

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        weight_decay: float,
        betas: tuple[float, float],
        decay: Literal["constant", "cosine"],
        final_share: float,
        warmup_fraction: float,
        updates: int,
    ) -> None:
        """No step is taken yet.

        Args:
            params: what is optimised.
            lr: peak learning rate.
            weight_decay: decoupled weight decay.
            betas: of the two moments.
            decay: learning rate after warm-up.
            final_share: share of the peak reached at the last step (cosine).
            warmup_fraction: share of the steps over which the learning rate rises.
            updates: optimizer steps of the run.
        """
        super().__init__(params, lr=lr, betas=(betas[0], betas[1]), weight_decay=weight_decay)
        self._updates = updates
        self._course = RlPhase(
            learning_rate=lr, decay=decay, final_share=final_share, warmup_fraction=warmup_fraction
        )

    @property
    def updates_done(self) -> int:
        """Optimizer steps taken, those before a resumption included."""
        return max((int(state["step"]) for state in self.state.values() if "step" in state), default=0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step at the learning rate of its number."""
        rate = learning_rate(self._course, self.updates_done, self._updates)
        for group in self.param_groups:
            group["lr"] = rate
        return super().step(closure)
