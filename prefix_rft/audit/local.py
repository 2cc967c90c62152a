"""The local backend under audit: its real update, with a recorder or a broken policy in place of a part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prefix_rft.audit.backends import Computed, Gradient
from prefix_rft.audit.cases import Case
from prefix_rft.audit.faults import Fault, factors_of, scaled
from prefix_rft.learning_rate import Phase
from prefix_rft.local import convert
from prefix_rft.local.fast_policy import FastPolicy
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import Generation, Policy, load_policy
from prefix_rft.local.scoring import Split
from prefix_rft.local.update import Batching, LossRule, update
from prefix_rft.rollout import StepContext
from prefix_rft.settings import LocalBackend

_MOVE = 0.05
"""Standard deviation of the weights' move between two mini-batches: enough for clips to bind."""


class LocalAudit:
    """See `AuditBackend`; on the GPU where there is one."""

    skips_rows = True
    offloads = True

    def __init__(self, folder: Path, fast_path: Literal["on", "off"]) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._folder = folder
        self._backend = LocalBackend(device=self.device, fast_path=fast_path)

    def compute(
        self, case: Case, split: Split, *, skip: bool = False, fault: Fault | None = None
    ) -> Computed:
        """See `AuditBackend.compute`."""
        policy = self._policy()
        recorder = _Recorder(policy, case.phase)
        seen = policy if fault is None else _BrokenPolicy(policy, factors_of(case, split, fault))
        loss = _update(seen, recorder, case, split, case.at, skip=skip)
        return Computed(loss, [_hugging_face(policy, gradient) for gradient in recorder.gradients])

    def train(self, case: Case, split: Split, *, steps: int, offload: bool) -> Gradient:
        """See `AuditBackend.train`."""
        policy = self._policy()
        start = _weights(policy)
        kind = _Offloaded if offload else Optimizer
        optimizer = kind(policy, case.phase, steps * LossRule.of(case.phase, case.max_response).mini_batches)
        for step in range(steps):
            at = StepContext(case.at.seed, step, case.at.total_steps)
            _update(policy, optimizer, case, split, at, skip=True)
        moved = {name: weight - start[name] for name, weight in _weights(policy).items()}
        return _hugging_face(policy, moved)

    def _policy(self) -> Policy:
        return load_policy(self._folder, self._backend)


class _Recorder(Optimizer):
    """Keeps every gradient, and moves the weights by noise that does not depend on it."""

    def __init__(self, policy: Policy, phase: Phase) -> None:
        super().__init__(policy, phase, updates=1)
        self._policy = policy
        self._random = torch.Generator().manual_seed(0)
        self.gradients: list[Gradient] = []

    @torch.no_grad()
    def step(self) -> float:
        """Record, and move; the norm is not looked at."""
        self.gradients.append(
            {name: p.grad.cpu() for name, p in self._policy.named_parameters() if p.grad is not None}
        )
        for parameter in self._policy.parameters():
            parameter.add_(
                (torch.randn(parameter.shape, generator=self._random) * _MOVE).to(parameter.device)
            )
        return 0.0


class _Offloaded(Optimizer):
    """Keeps the weights that it optimises, their gradients and their moments on the CPU, apart from the model."""

    def __init__(self, policy: Policy, phase: Phase, updates: int) -> None:
        self._model = list(policy.parameters())
        apart = deepcopy(policy)
        for parameter in apart.parameters():
            parameter.data = parameter.data.cpu()
        self._apart = list(apart.parameters())
        super().__init__(apart, phase, updates)

    def zero_grad(self) -> None:
        """Forget the gradient, here and on the model."""
        super().zero_grad()
        for parameter in self._model:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> float:
        """Fetch the gradient, step on the CPU, and give the weights back."""
        for apart, parameter in zip(self._apart, self._model, strict=True):
            apart.grad = None if parameter.grad is None else parameter.grad.cpu().clone()
        norm = super().step()
        for apart, parameter in zip(self._apart, self._model, strict=True):
            parameter.copy_(apart)
        return norm


class _BrokenPolicy:
    """A policy through which each micro-batch's gradient comes multiplied; values are right."""

    def __init__(self, policy: Policy, factors: Sequence[float]) -> None:
        self._policy = policy
        self._factors = iter(factors)
        self.path, self.device = policy.path, policy.device
        self.context_length = policy.context_length

    def logprobs(
        self,
        ids_BL: Tensor,
        prompt_length_B: Tensor,
        response_length_B: Tensor,
        *,
        with_entropy: bool,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor | None]:
        """See `Policy.logprobs`; a differentiable call is a micro-batch."""
        logp_BT, entropy_BT = self._policy.logprobs(
            ids_BL, prompt_length_B, response_length_B, with_entropy=with_entropy, temperature=temperature
        )
        if not torch.is_grad_enabled():
            return logp_BT, entropy_BT
        factor = next(self._factors)
        return scaled(logp_BT, factor), None if entropy_BT is None else scaled(entropy_BT, factor)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new: Sequence[int],
        key_B: NDArray[np.uint64],
        start_B: Sequence[int],
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> Generation:
        """See `Policy.generate`."""
        return self._policy.generate(
            prompts, max_new=max_new, key_B=key_B, start_B=start_B, temperature=temperature, top_p=top_p
        )

    def parameters(self) -> Iterator[nn.Parameter]:
        """See `Policy.parameters`."""
        return self._policy.parameters()

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """See `Policy.named_parameters`."""
        return self._policy.named_parameters()

    def save(self, folder: Path) -> None:
        """See `Policy.save`."""
        self._policy.save(folder)


def _update(
    policy: Policy, optimizer: Optimizer, case: Case, split: Split, at: StepContext, *, skip: bool
) -> float:
    """One rollout step's updates by the code that trains; returns the loss."""
    rule = LossRule.of(case.phase, case.max_response)
    batching = Batching(1, skip_zero_weight_rows=skip, split=split)
    return update(policy, optimizer, case.method, case.responses, rule, batching, at).loss


def _weights(policy: Policy) -> Gradient:
    return {name: parameter.detach().cpu().clone() for name, parameter in policy.named_parameters()}


def _hugging_face(policy: Policy, tensors: Gradient) -> Gradient:
    """Tensors of the parameters' shapes under the names of `transformers`."""
    return convert.unfuse(tensors, policy.model.shape) if isinstance(policy, FastPolicy) else tensors
