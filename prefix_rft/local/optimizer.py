"""AdamW with its learning-rate schedule, and its state as safetensors (no pickle)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter

from prefix_rft.errors import CheckpointError
from prefix_rft.local.policy import Policy
from prefix_rft.settings import RlPhase, SftPhase

Phase = SftPhase | RlPhase

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
_MASTER = "weight"


def learning_rate(phase: Phase, update: int, updates: int) -> float:
    """Learning rate of optimizer step `update` (from 0) of `updates`: linear warm-up, then constant or cosine."""
    warmup = round(phase.warmup_fraction * updates)
    if update < warmup:
        return phase.learning_rate * (update + 1) / warmup
    if phase.decay == "constant":
        return phase.learning_rate
    progress = (update - warmup) / max(1, updates - 1 - warmup)
    share = phase.final_share + (1 - phase.final_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return phase.learning_rate * share


@dataclass(frozen=True, eq=False)
class _Weight:
    """One of the policy's parameters and the float32 weight that is optimised: itself, or a copy of it."""

    name: str
    parameter: Parameter
    master: Parameter

    @classmethod
    def of(cls, name: str, parameter: Parameter) -> _Weight:
        if parameter.dtype == torch.float32:
            return cls(name, parameter, parameter)
        return cls(name, parameter, Parameter(parameter.detach().float()))

    @property
    def is_copied(self) -> bool:
        return self.master is not self.parameter

    def take_gradient(self) -> None:
        """Give the master weight its gradient; without one it is zero, and moves by momentum alone."""
        if self.parameter.grad is None:
            self.master.grad = torch.zeros_like(self.master)
        elif self.is_copied:
            self.master.grad = self.parameter.grad.float()

    @torch.no_grad()
    def give_back(self) -> None:
        """Round the master weight to the parameter."""
        if self.is_copied:
            self.parameter.copy_(self.master)


class Optimizer:
    """AdamW over a policy's parameters, in float32 whatever their precision; counts its own steps."""

    def __init__(self, policy: Policy, phase: Phase, updates: int) -> None:
        self._phase = phase
        self._updates = updates
        self._weights = [_Weight.of(name, parameter) for name, parameter in policy.named_parameters()]
        self._masters = [weight.master for weight in self._weights]
        self._adam = torch.optim.AdamW(
            self._masters,
            lr=phase.learning_rate,
            betas=(phase.beta1, phase.beta2),
            weight_decay=phase.weight_decay,
            fused=True,
        )
        self.updates_done = 0

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next optimizer step."""
        return learning_rate(self._phase, self.updates_done, self._updates)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        for weight in self._weights:
            weight.parameter.grad = None

    def step(self) -> float:
        """Clip the gradient's norm and take one optimizer step; returns the norm before clipping."""
        for weight in self._weights:
            weight.take_gradient()
        norm = torch.nn.utils.clip_grad_norm_(self._masters, self._phase.max_grad_norm)
        for group in self._adam.param_groups:
            group["lr"] = self.learning_rate
        self._adam.step()
        for weight in self._weights:
            weight.give_back()
        self.updates_done += 1
        return float(norm)

    def save(self, file: Path) -> None:
        """Write moments, step counts and copied weights under the parameters' names."""
        from safetensors.torch import save_file

        tensors = {
            f"{field}/{weight.name}": value.contiguous()
            for weight in self._weights
            for field, value in self._state_of(weight).items()
        }
        save_file(tensors, file, metadata={"updates_done": str(self.updates_done)})

    def _state_of(self, weight: _Weight) -> dict[str, Tensor]:
        copied = {_MASTER: weight.master.detach()} if weight.is_copied else {}
        return {**self._adam.state.get(weight.master, {}), **copied}

    def load(self, file: Path) -> None:
        """Take over a saved state.

        Raises:
            CheckpointError: the file's parameters are not this model's.
        """
        from safetensors import safe_open

        with safe_open(file, framework="pt") as saved:
            self.updates_done = int(saved.metadata()["updates_done"])
            state = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118
        ours = {weight.name for weight in self._weights}
        strange = sorted(ours ^ {entry.split("/", 1)[1] for entry in state})
        if strange and self.updates_done:
            raise CheckpointError(
                f"{file} is the optimizer state of another model: only one of the two has {', '.join(strange[:3])}. "
                f"Delete {file.parent}; the run then goes on from the checkpoint before it, or from the start."
            )
        for weight in self._weights:
            self._take_over(weight, state)

    def _take_over(self, weight: _Weight, state: dict[str, Tensor]) -> None:
        master = weight.master
        fields = {
            field: state[f"{field}/{weight.name}"].to(master.device)
            for field in (*_MOMENTS, _MASTER)
            if f"{field}/{weight.name}" in state
        }
        if weight.is_copied:
            master.data.copy_(fields.pop(_MASTER))
        if fields:
            self._adam.state[master] = fields
