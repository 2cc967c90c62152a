"""SFT steps between rollout steps: the gradient is SFT's, the optimizer their own, the weights the policy's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from prefix_rft.errors import CheckpointError
from prefix_rft.local.interleaved import Interleaved
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import Policy, load_policy
from prefix_rft.local.update import Batching
from prefix_rft.methods import make_method
from prefix_rft.rollout import StepContext
from prefix_rft.settings import LocalBackend, RlPhase
from prefix_rft.settings.method import ReliftMethod

AT = StepContext(seed=3, step=2, total_steps=6)
RATE = 1e-3
BUDGET = 20


def _make(task: Any, policy: Policy, beside: Optimizer, tokens: int = 1 << 20) -> Interleaved:
    phase = make_method(ReliftMethod(learning_rate=RATE), BUDGET).interleaved
    assert phase is not None
    return Interleaved(
        policy,
        phase,
        task.questions,
        Batching(tokens, skip_zero_weight_rows=True),
        beside=beside,
        max_response_tokens=BUDGET,
        pad_id=task.encoder.pad_id,
    )


@pytest.fixture
def policy(chain_task: Any) -> Policy:
    return load_policy(chain_task.model, LocalBackend())


@pytest.fixture
def optimizer(policy: Policy) -> Optimizer:
    return Optimizer(policy, RlPhase(learning_rate=0.1), updates=10)


def test_the_loss_is_the_mean_over_all_tokens_of_the_named_demonstrations(
    chain_task: Any, policy: Policy, optimizer: Optimizer
) -> None:
    named = [chain_task.questions[i] for i in (4, 0, 9)]
    loss, tokens = 0.0, 0
    for question in named:
        prompt, response = question.prompt, question.demonstration
        ids, lengths = torch.tensor([[*prompt, *response]]), (len(prompt), len(response))
        logp_BT, _ = policy.logprobs(ids, *torch.tensor(lengths)[:, None], with_entropy=False)
        loss, tokens = loss - float(logp_BT.detach().sum()), tokens + len(response)
    found = _make(chain_task, policy, optimizer).step([question.id for question in named], AT)
    assert found["imitation_loss"] == pytest.approx(loss / tokens, rel=1e-5)
    assert found["imitation_questions"] == 3
    assert found["imitation_tokens"] == tokens


def test_the_step_has_a_rate_of_its_own_and_leaves_the_other_optimizer_alone(
    chain_task: Any, policy: Policy, optimizer: Optimizer, tmp_path: Path
) -> None:
    """AdamW's first step moves a weight by the learning rate, whatever its gradient."""
    before = [weight.detach().clone() for weight in policy.parameters()]
    _make(chain_task, policy, optimizer).step([chain_task.questions[0].id], AT)
    moved = max(
        float((weight.detach() - was).abs().max())
        for weight, was in zip(policy.parameters(), before, strict=True)
    )
    assert moved == pytest.approx(RATE, rel=1e-2)
    assert optimizer.updates_done == 0
    optimizer.save(tmp_path / "optimizer.safetensors")
    moments = load_file(tmp_path / "optimizer.safetensors")
    assert all(not tensor.any() for name, tensor in moments.items() if not name.startswith("master/"))


def test_packing_does_not_change_the_step(chain_task: Any) -> None:
    ids = [question.id for question in chain_task.questions[:7]]
    found = []
    for tokens in (1 << 20, 1, 100):
        policy = load_policy(chain_task.model, LocalBackend())
        beside = Optimizer(policy, RlPhase(), updates=1)
        found.append(_make(chain_task, policy, beside, tokens).step(ids, AT))
    for values in found[1:]:
        assert values == pytest.approx(found[0], rel=1e-5)


def test_without_questions_nothing_happens(chain_task: Any, policy: Policy, optimizer: Optimizer) -> None:
    before = [weight.detach().clone() for weight in policy.parameters()]
    assert _make(chain_task, policy, optimizer).step([], AT) == {}
    assert all(torch.equal(weight, was) for weight, was in zip(policy.parameters(), before, strict=True))


def test_a_missing_state_is_named(
    chain_task: Any, policy: Policy, optimizer: Optimizer, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors is missing; delete"):
        _make(chain_task, policy, optimizer).load(tmp_path / "nowhere.safetensors")
