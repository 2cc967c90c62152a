"""AdamW with its learning-rate schedule, and its state as safetensors (no pickle)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adamw import adamw

from prefix_rft.errors import CheckpointError
from prefix_rft.learning_rate import Phase, learning_rate
from prefix_rft.local.policy import Policy

_EPSILON = 1e-8
"""Added to the root of AdamW's second moment, PyTorch's default."""


@dataclass(frozen=True, eq=False)
class _Weight:
    """One of the policy's parameters, the float32 weight that is optimised for it, and AdamW's moments."""

    name: str
    parameter: Parameter
    master: Tensor
    """The parameter itself, or a copy of it where it is not float32."""
    step: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor

    @classmethod
    def of(cls, name: str, parameter: Parameter, master: Tensor | None = None) -> _Weight:
        if master is None:
            master = parameter.detach().float()
        step = torch.zeros((), device=parameter.device)
        return cls(name, parameter, master, step, torch.zeros_like(master), torch.zeros_like(master))

    @property
    def is_copied(self) -> bool:
        return self.parameter.dtype != torch.float32

    def gradient(self) -> Tensor:
        """In float32; a parameter without one has zeros, and moves by momentum alone."""
        found = self.parameter.grad
        return torch.zeros_like(self.master) if found is None else found.float()

    def give_back(self) -> None:
        """Round the optimised weight to the parameter."""
        if self.is_copied:
            self.parameter.copy_(self.master)

    def state(self, *, with_master: bool) -> dict[str, Tensor]:
        """What a checkpoint must hold besides the parameter, by the names it has there."""
        copied = ["master"] if self.is_copied and with_master else []
        fields = ("step", "exp_avg", "exp_avg_sq", *copied)
        return {f"{field}/{self.name}": getattr(self, field) for field in fields}


class Optimizer:
    """AdamW over a policy's parameters, in float32 whatever their precision; counts its own steps.

    It calls PyTorch's function: making the class `torch.optim.AdamW` imports the compiler, a second and 70 MB for
    nothing.
    """

    def __init__(
        self, policy: Policy, phase: Phase, updates: int, *, beside: Optimizer | None = None
    ) -> None:
        """Moments start at zero.

        Args:
            policy: whose weights are optimised.
            phase: rates and norms.
            updates: optimizer steps there will be, for the learning rate's course.
            beside: another optimizer of the same policy, which keeps the float32 copies of the weights for both.
        """
        self._phase = phase
        self._updates = updates
        self._shares_masters = beside is not None
        masters = {weight.name: weight.master for weight in beside._weights} if beside else {}
        self._weights: list[_Weight] = [
            _Weight.of(name, parameter, masters.get(name)) for name, parameter in policy.named_parameters()
        ]
        self.updates_done = 0
        self.skipped_in_a_row = 0
        """How often steps were left out since the last that was taken; the moments and the rate do not count them."""

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next optimizer step."""
        return learning_rate(self._phase, self.updates_done, self._updates)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        for weight in self._weights:
            weight.parameter.grad = None

    @torch.no_grad()
    def step(self) -> float:
        """Clip the gradient's norm and take one optimizer step; returns the norm before clipping.

        Where the norm is not finite nothing is changed: neither weights nor moments.
        """
        norm = total_norm(
            weight.parameter.grad for weight in self._weights if weight.parameter.grad is not None
        )
        if not bool(norm.isfinite()):
            return float(norm)
        share = torch.clamp(self._phase.max_grad_norm / (norm + 1e-6), max=1.0)
        for weights in self._together():
            self._move(weights, share)
        self.updates_done += 1
        self.skipped_in_a_row = 0
        return float(norm)

    def _together(self) -> list[list[_Weight]]:
        """All float32 weights at once, in few calls; the others one by one, for the memory of their gradients."""
        plain = [weight for weight in self._weights if not weight.is_copied]
        return [plain, *([weight] for weight in self._weights if weight.is_copied)]

    def _move(self, weights: list[_Weight], share: Tensor) -> None:
        gradients = [weight.gradient().mul_(share) for weight in weights]
        adamw(
            [weight.master for weight in weights],
            gradients,
            [weight.exp_avg for weight in weights],
            [weight.exp_avg_sq for weight in weights],
            [],
            [weight.step for weight in weights],
            fused=True,
            amsgrad=False,
            maximize=False,
            lr=self.learning_rate,
            beta1=self._phase.beta1,
            beta2=self._phase.beta2,
            eps=_EPSILON,
            weight_decay=self._phase.weight_decay,
        )
        for weight in weights:
            weight.give_back()
            if weight.is_copied:
                weight.parameter.grad = None

    def save(self, file: Path) -> None:
        """Write moments, step counts and copied weights under the parameters' names."""
        from safetensors.torch import save_file

        state = {name: tensor.contiguous() for name, tensor in self._state().items()}
        counts = {"updates_done": self.updates_done}
        if self.skipped_in_a_row:
            counts["skipped_in_a_row"] = self.skipped_in_a_row
        save_file(state, file, metadata={name: str(count) for name, count in counts.items()})

    @torch.no_grad()
    def load(self, file: Path) -> None:
        """Take over a saved state.

        Raises:
            CheckpointError: the file is damaged, or its parameters are not this model's.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, framework="pt") as saved:
                counts = saved.metadata()
                found = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{file} cannot be read ({error}); delete {file.parent} to resume from the one before"
            ) from None
        self.updates_done = int(counts["updates_done"])
        self.skipped_in_a_row = int(counts.get("skipped_in_a_row", 0))
        ours = self._state()
        strange = sorted(ours.keys() ^ found.keys())
        if strange:
            raise CheckpointError(
                f"{file} is the optimizer state of another model: only one of the two has {', '.join(strange[:3])}. "
                f"Delete {file.parent}; the run then goes on from the checkpoint before it, or from the start."
            )
        for name, tensor in ours.items():
            tensor.copy_(found[name])

    def _state(self) -> dict[str, Tensor]:
        return {
            name: tensor
            for weight in self._weights
            for name, tensor in weight.state(with_master=not self._shares_masters).items()
        }


def total_norm(gradients: Iterable[Tensor]) -> Tensor:
    """Length of the vector of all these gradients, in float32 at least; 0 for none."""
    norms = [
        torch.linalg.vector_norm(gradient, dtype=torch.promote_types(gradient.dtype, torch.float32))
        for gradient in gradients
    ]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())
