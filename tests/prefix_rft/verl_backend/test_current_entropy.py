"""`optimisation.rl.entropy_of=current` on verl: a mini-batch is weighed by the policy that the step before it left.

One rollout step of two mini-batches on verl; the same responses through the local update must end with the same
weights, and with others where the entropies are those of the old policy.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import load_policy
from prefix_rft.local.rollouts import Responses
from prefix_rft.local.update import Batching, LossRule, update
from prefix_rft.methods import make_method
from prefix_rft.rollout import RolloutBatch, StepContext
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import LocalBackend, RlPhase, RunConfig

pytestmark = [
    pytest.mark.verl,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("verl") is None, reason="verl is not installed (pip install -e '.[verl]')"),
]


@pytest.fixture(scope="module")
def trained(
    verl_settings: Any, verl_model: Path, marked: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunConfig, RunDir, list[dict[str, Any]]]:
    """A run of one rollout step, and its responses."""
    folder = tmp_path_factory.mktemp("current")
    config = verl_settings(
        folder / "runs", verl_model, rule={"static_weight": 1.0}, rl={"steps": 1, "entropy_of": "current"}
    )
    (folder / "settings.json").write_text(config.model_dump_json(), encoding="utf-8")
    script = Path(__file__).with_name("recorded_process.py")
    arguments = [sys.executable, script, folder / "settings.json", verl_model, folder / "rows.jsonl"]
    started = marked(list(map(str, arguments)), folder / "run.log")
    assert started.process.wait(900) == 0, f"see {folder}/run.log"
    lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    return config, RunDir(Store(config.store).path(train_identity(config).id)), list(map(json.loads, lines))


def responses(rows: list[dict[str, Any]], rollouts: int) -> Responses:
    """As the local backend has them."""
    joined = [row["prompt"] + row["response"] for row in rows]
    width, index = max(map(len, joined)), torch.arange(len(rows))
    prefix_B = torch.tensor([row["prefix"] for row in rows])
    batch = RolloutBatch(
        question_B=index // rollouts,
        rollout_B=index % rollouts,
        prefix_id_B=torch.where(prefix_B > 0, 0, -1),
        prefix_length_B=prefix_B,
        response_length_B=torch.tensor([len(row["response"]) for row in rows]),
        reward_B=torch.tensor([row["reward"] for row in rows]),
    )
    ids_BL = torch.tensor([ids + [0] * (width - len(ids)) for ids in joined])
    prompt_B = torch.tensor([len(row["prompt"]) for row in rows])
    return Responses(ids_BL, prompt_B, batch, torch.ones(len(rows), dtype=torch.bool), 0, {}, {})


def locally(config: RunConfig, model: Path, rows: list[dict[str, Any]], phase: RlPhase) -> dict[str, Tensor]:
    """The weights after the local update on the same responses."""
    policy = load_policy(model, LocalBackend(fast_path="off"))
    method = make_method(config.method, config.data.max_response_tokens)
    rule = LossRule.of(phase, config.data.max_response_tokens)
    batching = Batching(micro_batch_tokens=1 << 20, skip_zero_weight_rows=False)
    optimizer = Optimizer(policy, phase, updates=phase.mini_batches)
    update(policy, optimizer, method, responses(rows, 8), rule, batching, StepContext(config.seed, 0, 1))
    return {name: weight.detach() for name, weight in policy.named_parameters()}


def largest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return max(float((weight - other[name]).abs().max()) for name, weight in one.items())


def test_the_weights_are_those_of_the_local_update(trained, verl_model):
    config, run, rows = trained
    phase = config.optimisation.rl
    theirs = load_file(run.checkpoints()[-1].path / "model.safetensors")
    now = locally(config, verl_model, rows, phase)
    before = locally(config, verl_model, rows, phase.model_copy(update={"entropy_of": "old"}))
    print(f"difference {largest(now, theirs):.1e}; with old entropies {largest(before, theirs):.1e}")
    assert largest(now, theirs) < 1e-5
    assert largest(before, theirs) > 1e-3


def test_the_entropies_reported_are_those_of_the_policy_that_made_the_rollouts(trained):
    _, run, _ = trained
    (row,) = [row for row in run.metrics() if row["kind"] == "train"]
    assert 0 < row["entropy_imitated"] < 2.4  # log 11, of eleven tokens
