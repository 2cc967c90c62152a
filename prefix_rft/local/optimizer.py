"""AdamW with its learning-rate schedule, and its state as safetensors (no pickle)."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter

from prefix_rft.errors import CheckpointError
from prefix_rft.local.policy import Policy
from prefix_rft.settings import RlPhase, SftPhase

Phase = SftPhase | RlPhase


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


class Optimizer:
    """AdamW over a policy's parameters; counts its own steps."""

    def __init__(self, policy: Policy, phase: Phase, updates: int) -> None:
        self._phase = phase
        self._updates = updates
        self._named: list[tuple[str, Parameter]] = list(policy.named_parameters())
        self._adam = torch.optim.AdamW(
            [parameter for _, parameter in self._named],
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
        self._adam.zero_grad(set_to_none=True)

    def step(self) -> float:
        """Clip the gradient's norm and take one optimizer step; returns the norm before clipping."""
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in self._named], self._phase.max_grad_norm)
        for group in self._adam.param_groups:
            group["lr"] = self.learning_rate
        self._adam.step()
        self.updates_done += 1
        return float(norm)

    def save(self, file: Path) -> None:
        """Write moments and step counts under the parameters' names."""
        from safetensors.torch import save_file

        tensors = {
            f"{field}/{name}": value.contiguous()
            for name, parameter in self._named
            for field, value in self._adam.state.get(parameter, {}).items()
        }
        save_file(tensors, file, metadata={"updates_done": str(self.updates_done)})

    def load(self, file: Path) -> None:
        """Take over a saved state.

        Raises:
            CheckpointError: the file's parameters are not this model's.
        """
        from safetensors import safe_open

        with safe_open(file, framework="pt") as saved:
            self.updates_done = int(saved.metadata()["updates_done"])
            state = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118
        known = {name for name, _ in self._named}
        strange = sorted({entry.split("/", 1)[1] for entry in state} - known)
        if strange:
            raise CheckpointError(f"{file}: optimizer state of parameters this model lacks: {strange[:3]}")
        for name, parameter in self._named:
            self._adam.state[parameter] = _state_of(name, state)


def _state_of(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        field: state[f"{field}/{name}"]
        for field in ("step", "exp_avg", "exp_avg_sq")
        if f"{field}/{name}" in state
    }
