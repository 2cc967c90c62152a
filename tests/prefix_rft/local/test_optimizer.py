"""AdamW by hand, the learning rate by hand, and a state that comes back bit for bit."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import Parameter

from prefix_rft.errors import CheckpointError
from prefix_rft.local.optimizer import Optimizer, learning_rate
from prefix_rft.local.policy import Policy
from prefix_rft.settings import RlPhase, SftPhase


class Weights:
    """Parameters without a model."""

    def __init__(self, dtype: torch.dtype = torch.float32, names: str = "ab") -> None:
        random = torch.Generator().manual_seed(0)
        self.named = {name: Parameter(torch.randn(3, 2, generator=random).to(dtype)) for name in names}

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return iter(self.named.items())

    def flat(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.named.values()])

    def learn(self, optimizer: Optimizer, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        optimizer.zero_grad()
        for parameter in self.named.values():
            parameter.grad = torch.randn(3, 2, generator=random).to(parameter.dtype)
        optimizer.step()


def _optimizer(weights: Weights, updates: int = 10, **phase: Any) -> Optimizer:
    return Optimizer(cast(Policy, weights), RlPhase(**{"learning_rate": 0.1, **phase}), updates)


def test_warm_up_rises_by_equal_parts_and_the_rest_is_constant() -> None:
    phase = RlPhase(learning_rate=0.4, warmup_fraction=0.4)
    rates = [learning_rate(phase, update, 10) for update in range(10)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4] + [0.4] * 6)


def test_the_cosine_falls_from_the_peak_to_its_last_share() -> None:
    phase = SftPhase(learning_rate=1.0, warmup_fraction=0.2, final_share=0.1)
    rates = [learning_rate(phase, update, 10) for update in range(10)]
    wanted = [0.5, 1.0] + [0.1 + 0.9 * (1 + math.cos(math.pi * k / 7)) / 2 for k in range(8)]
    assert rates == pytest.approx(wanted)
    assert rates[-1] == pytest.approx(0.1)


def test_one_update_alone_is_taken_at_the_peak() -> None:
    assert learning_rate(SftPhase(learning_rate=1.0, warmup_fraction=0.0), 0, 1) == 1.0


def test_the_first_step_by_hand() -> None:
    """AdamW's first step is -lr * g / (|g| + eps), after the decay of the weights."""
    weights = Weights(names="a")
    optimizer = _optimizer(weights, weight_decay=0.5, warmup_fraction=0.2)
    before = weights.flat()
    gradient = torch.tensor([0.3, -0.2, 0.1, 0.0, 0.05, -0.4])
    weights.named["a"].grad = gradient.view(3, 2).clone()
    assert optimizer.learning_rate == pytest.approx(0.05)  # the first of two warm-up steps
    norm = optimizer.step()
    assert norm == pytest.approx(float(gradient.norm()))
    torch.testing.assert_close(weights.flat(), before * (1 - 0.05 * 0.5) - 0.05 * gradient.sign())
    assert optimizer.learning_rate == pytest.approx(0.1)
    assert optimizer.updates_done == 1


def test_a_long_gradient_is_scaled_down_and_its_norm_told(tmp_path: Path) -> None:
    """With beta1 = 0 the first moment is the gradient that was used."""
    weights = Weights(names="a")
    optimizer = _optimizer(weights, beta1=0.0, max_grad_norm=1.0)
    weights.named["a"].grad = torch.full((3, 2), 100.0)
    assert optimizer.step() == pytest.approx(100 * math.sqrt(6))
    optimizer.save(tmp_path / "state")
    assert float(load_file(tmp_path / "state")["exp_avg/a"].norm()) == pytest.approx(1.0, rel=1e-4)


def test_a_missing_gradient_is_a_zero_one() -> None:
    missing, zero = Weights(), Weights()
    pair = [(weights, _optimizer(weights, weight_decay=0.1)) for weights in (missing, zero)]
    for weights, optimizer in pair:
        weights.learn(optimizer, seed=1)
        optimizer.zero_grad()
    for parameter in zero.named.values():
        parameter.grad = torch.zeros(3, 2)
    before = missing.flat()
    assert [optimizer.step() for _, optimizer in pair] == [0, 0]
    assert torch.equal(missing.flat(), zero.flat())
    assert not torch.equal(missing.flat(), before), "momentum goes on"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_saved_state_goes_on_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    straight, stopped = Weights(dtype), Weights(dtype)
    optimizer, first = _optimizer(straight), _optimizer(stopped)
    for seed in range(6):
        straight.learn(optimizer, seed)
    for seed in range(3):
        stopped.learn(first, seed)
    first.save(tmp_path / "state.safetensors")
    resumed = Weights(dtype)
    for parameter, saved in zip(resumed.named.values(), stopped.named.values(), strict=True):
        parameter.data.copy_(saved.detach())
    second = _optimizer(resumed)
    second.load(tmp_path / "state.safetensors")
    assert second.updates_done == 3
    for seed in range(3, 6):
        resumed.learn(second, seed)
    assert torch.equal(resumed.flat(), straight.flat())
    optimizer.save(tmp_path / "straight")
    second.save(tmp_path / "resumed")
    assert (tmp_path / "straight").read_bytes() == (tmp_path / "resumed").read_bytes()


def test_coarse_weights_are_trained_in_float32(tmp_path: Path) -> None:
    """At 1.0 the next smaller bfloat16 is 0.4% away: steps of 0.1% would all be rounded away."""
    weights = Weights(torch.bfloat16, names="a")
    weights.named["a"].data.fill_(1.0)
    optimizer = _optimizer(weights, learning_rate=1e-3)
    for _ in range(20):
        weights.named["a"].grad = torch.ones(3, 2, dtype=torch.bfloat16)
        optimizer.step()
    assert weights.flat().tolist() == pytest.approx([0.98] * 6, abs=0.004)
    optimizer.save(tmp_path / "state")
    saved = load_file(tmp_path / "state")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    assert saved["master/a"].flatten().tolist() == pytest.approx([0.98] * 6, abs=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_is_the_adamw_of_pytorch(decay: float) -> None:
    """Ten steps beside the class, bit for bit; the class is slow to import, which is why it is not used."""
    ours, theirs = Weights(), Weights()
    optimizer = _optimizer(ours, weight_decay=decay, max_grad_norm=2.0)
    parameters = list(theirs.named.values())
    adam = torch.optim.AdamW(parameters, lr=0.1, weight_decay=decay, fused=True)
    for seed in range(10):
        ours.learn(optimizer, seed)
        random = torch.Generator().manual_seed(seed)
        for parameter in parameters:
            parameter.grad = torch.randn(3, 2, generator=random)
        torch.nn.utils.clip_grad_norm_(parameters, 2.0)
        adam.step()
    assert torch.equal(ours.flat(), theirs.flat())


def test_training_does_not_import_the_compiler() -> None:
    code = (
        "import sys; import torch; from prefix_rft.local.optimizer import Optimizer; "
        "from prefix_rft.settings import RlPhase; parameter = torch.nn.Parameter(torch.ones(2)); "
        "weights = type('Weights', (), {'named_parameters': lambda self: iter([('a', parameter)])})(); "
        "optimizer = Optimizer(weights, RlPhase(), 1); optimizer.zero_grad(); parameter.sum().backward(); "
        "optimizer.step(); sys.exit('torch._dynamo' in sys.modules or 'sympy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_file_is_named_tensors_and_no_pickle(tmp_path: Path) -> None:
    weights = Weights()
    optimizer = _optimizer(weights)
    weights.learn(optimizer, seed=0)
    file = tmp_path / "state.safetensors"
    optimizer.save(file)
    content = file.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header.pop("__metadata__") == {"updates_done": "1"}
    assert set(header) == {f"{f}/{n}" for f in ("step", "exp_avg", "exp_avg_sq") for n in "ab"}
    assert {entry["dtype"] for entry in header.values()} == {"F32"}


@pytest.mark.parametrize("names", ["abc", "a", "xy"])
def test_the_state_of_another_model_is_refused(tmp_path: Path, names: str) -> None:
    weights, other = Weights(), Weights(names=names)
    optimizer = _optimizer(weights)
    weights.learn(optimizer, seed=0)
    optimizer.save(tmp_path / "state")
    with pytest.raises(CheckpointError, match=r"state is the optimizer state of another model.*Delete"):
        _optimizer(other).load(tmp_path / "state")
