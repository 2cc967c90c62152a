"""Inside verl the optimizer takes the embedded one's steps, whatever a scheduler says, and goes on where it was."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import Policy
from prefix_rft.settings import RlPhase
from prefix_rft.verl_backend.optimizer import CourseAdamW

COURSE: dict[str, Any] = {"decay": "cosine", "final_share": 0.1, "warmup_fraction": 0.4, "updates": 10}


class Weights:
    """One parameter, for both optimizers."""

    def __init__(self) -> None:
        self.weight = Parameter(torch.linspace(-1, 1, 6).reshape(3, 2))

    def named_parameters(self) -> Any:
        return iter([("weight", self.weight)])


def _gradient(step: int) -> Tensor:
    return torch.randn(3, 2, generator=torch.Generator().manual_seed(step))


def _course(weights: Weights) -> CourseAdamW:
    return CourseAdamW([weights.weight], lr=0.1, weight_decay=0.01, betas=(0.9, 0.99), **COURSE)


def _step(optimizer: CourseAdamW, weights: Weights, step: int) -> float:
    weights.weight.grad = _gradient(step)
    optimizer.step()
    return float(optimizer.param_groups[0]["lr"])


def test_the_same_weights_as_the_embedded_optimizer() -> None:
    ours, theirs = Weights(), Weights()
    course = {name: value for name, value in COURSE.items() if name != "updates"}
    phase = RlPhase(learning_rate=0.1, weight_decay=0.01, beta2=0.99, max_grad_norm=1e9, **course)
    embedded, inside = Optimizer(cast(Policy, ours), phase, 10), _course(theirs)
    for step in range(10):
        ours.weight.grad = _gradient(step)
        embedded.step()
        _step(inside, theirs, step)
        assert torch.allclose(ours.weight, theirs.weight, atol=1e-7)


def test_the_warm_up_by_hand_and_whatever_a_scheduler_writes() -> None:
    weights = Weights()
    optimizer = _course(weights)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    rates = []
    for step in range(5):
        rates.append(_step(optimizer, weights, step))
        scheduler.step()
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])


def test_the_count_of_steps_comes_back_with_the_state() -> None:
    whole, first = Weights(), Weights()
    one, two = _course(whole), _course(first)
    for step in range(3):
        _step(one, whole, step)
        _step(two, first, step)
    later = Weights()
    later.weight.data.copy_(first.weight.data)
    resumed = _course(later)
    resumed.load_state_dict(two.state_dict())
    assert resumed.updates_done == 3
    assert _step(resumed, later, 3) == _step(one, whole, 3)
    assert torch.equal(later.weight, whole.weight)
