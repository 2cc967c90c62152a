"""Workers with a second optimizer, for methods that take SFT steps between rollout steps (ReLIFT).

verl's worker holds one optimizer; this one lends its place to another for the length of a step, and saves both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch.optim import AdamW
from verl.single_controller.base.decorator import Dispatch, make_nd_compute_dataproto_dispatch_fn, register
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker

from prefix_rft.settings import SftPhase
from prefix_rft.verl_backend.loss import MethodLoss


@dataclass
class Second:
    """What the SFT steps go by."""

    phase: SftPhase
    loss: MethodLoss
    optimizer: AdamW


class TwoOptimizers(TrainingWorker):  # type: ignore[misc]
    """verl's inner worker."""

    second: Second | None = None

    def begin_second(self, phase: SftPhase, loss: MethodLoss) -> None:
        """Make the second optimizer, at a constant rate; its moments start at zero."""
        parameters = [parameter for parameter in self.engine.module.parameters() if parameter.requires_grad]
        betas = (phase.beta1, phase.beta2)
        optimizer = AdamW(parameters, lr=phase.learning_rate, betas=betas, weight_decay=phase.weight_decay)
        self.second = Second(phase, loss, optimizer)

    def imitate(self, data: TensorDict) -> TensorDict:
        """One step of the second optimizer."""
        with self._second_in_place():
            return self.train_mini_batch(data)

    @contextmanager
    def _second_in_place(self) -> Iterator[None]:
        assert self.second is not None
        engine, settings = self.engine, self.engine.optimizer_config
        first = engine.optimizer, settings.clip_grad, vars(self)["loss_fn"]
        engine.optimizer, self.loss_fn = self.second.optimizer, self.second.loss
        object.__setattr__(settings, "clip_grad", self.second.phase.max_grad_norm)
        try:
            yield
        finally:
            engine.optimizer, self.loss_fn = first[0], first[2]
            object.__setattr__(settings, "clip_grad", first[1])

    def _file(self, folder: str) -> Path:
        return Path(folder) / f"second_world_size_{self.world_size}_rank_{self.rank}.pt"

    def save_second(self, folder: str) -> None:
        """Write this worker's share of the second optimizer's state."""
        assert self.second is not None
        torch.save(self.second.optimizer.state_dict(), self._file(folder))

    def load_second(self, folder: str) -> None:
        """Take over what `save_second` wrote."""
        assert self.second is not None
        self.second.optimizer.load_state_dict(torch.load(self._file(folder), weights_only=True))


class TwoOptimizersWorker(ActorRolloutRefWorker):  # type: ignore[misc]
    """verl's worker around it."""

    actor_worker_cls = TwoOptimizers

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[untyped-decorator]
    def begin_second(self, phase: SftPhase, loss: MethodLoss) -> None:
        """See `TwoOptimizers.begin_second`."""
        self.actor.begin_second(phase, loss)

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[untyped-decorator]
    def save_second(self, folder: str) -> None:
        """See `TwoOptimizers.save_second`."""
        self.actor.save_second(folder)

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)  # type: ignore[untyped-decorator]
    def load_second(self, folder: str) -> None:
        """See `TwoOptimizers.load_second`."""
        self.actor.load_second(folder)

    @register(  # type: ignore[untyped-decorator]
        dispatch_mode=make_nd_compute_dataproto_dispatch_fn(mesh_name="actor")
    )
    def imitate(self, data: TensorDict) -> Any:
        """See `TwoOptimizers.imitate`."""
        output = self.actor.imitate(data)
        return output.cpu() if output is not None else None
