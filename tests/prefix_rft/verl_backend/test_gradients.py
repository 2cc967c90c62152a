"""One method, two backends: the same batch gives the same weights, and the same gradient to 1e-5.

The gradient is that of verl's own worker (FSDP2, its micro-batches, its averaging over data-parallel workers) under our
loss, beside the local policy's under the local objective.

Axes: B rows, T response tokens.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.grading.verdict import Grade
from prefix_rft.local.policy import load_policy
from prefix_rft.methods import make_method
from prefix_rft.methods.base import Method
from prefix_rft.objective import PpoClip, entropy_bonus, surrogate, token_scale
from prefix_rft.rollout import QuestionTokens, StepContext, TokenWeights
from prefix_rft.settings import LocalBackend, RunConfig, parse

pytestmark = [
    pytest.mark.verl,
    pytest.mark.skipif(find_spec("verl") is None, reason="verl is not installed (pip install -e '.[verl]')"),
]

AT = StepContext(seed=3, step=2, total_steps=5)
TEMPERATURE = 0.7
BONUS = 0.01
METHODS: dict[str, dict[str, Any]] = {
    "prefix_rft": {"name": "prefix_rft", "rollouts": 4},
    "luffy": {"name": "luffy", "rollouts": 4},
    "rl_sft_loss": {"name": "rl_sft_loss", "rollouts": 4},
    "uft": {"name": "uft", "rollouts": 4},
}
WORKERS = (1, 2)
BUDGETS = {"whole": 4096, "split": 24}


@dataclass
class Case:
    """A fixed batch: tokens, rewards, entropies and old log-probabilities that no policy is asked for."""

    method: Method
    prompts: list[list[int]]
    responses: list[list[int]]
    graded: Any
    entropy_BT: Tensor
    old_logp_BT: Tensor


class _ByLength:
    """Correct where the response has an even number of tokens."""

    def grade(self, pairs: list[tuple[str, str]]) -> list[Grade]:
        return [Grade(len(text) % 2 == 0, "ok", text) for _, text in pairs]


def questions() -> list[QuestionTokens]:
    """Three, one of them without a demonstration."""
    random = np.random.default_rng(5)
    ids = lambda n: tuple(int(i) for i in random.integers(2, 11, n))  # noqa: E731
    return [
        QuestionTokens("a", ids(4), "1", (*ids(8), 1)),
        QuestionTokens("b", ids(6), "2", None),
        QuestionTokens("c", ids(3), "3", (*ids(5), 1)),
    ]


def make_case(name: str) -> Case:
    from prefix_rft.verl_backend.rows import asked_rows, graded_rows

    random = np.random.default_rng(7)
    method = make_method(parse_method(name), max_response_tokens=10)
    rows = asked_rows(method, questions(), AT)
    responses = [
        [
            *row.request.prefix,
            *([] if row.request.complete else random.integers(2, 11, random.integers(1, 6))),
        ]
        for row in rows
    ]
    responses = [[int(i) for i in response[:10]] for response in responses]
    graded = graded_rows(rows, responses, encoder=ChainEncoder(4), grader=_ByLength(), max_response=10)
    shape = graded.batch.response_BT().shape
    generator = torch.Generator().manual_seed(1)
    return Case(
        method,
        [list(row.tokens.prompt) for row in rows],
        responses,
        graded,
        torch.rand(shape, generator=generator),
        -3 * torch.rand(shape, generator=generator),
    )


def parse_method(name: str) -> Any:
    config = parse(
        RunConfig,
        {
            "method": METHODS[name],
            "model": {"kind": "tiny"},
            "data": {"kind": "chain"},
            "evaluation": {"splits": []},
        },
    )
    return config.method


def local_weights(case: Case) -> tuple[TokenWeights, Tensor]:
    """What the local update does for a mini-batch."""
    batch, method = case.graded.batch, case.method
    weights = method.weights(batch, case.entropy_BT if method.wants_entropy else None, AT, 0)
    return weights, token_scale(batch, "constant", 10, method.imitation.scale)


def local_gradient(case: Case, model: Path) -> tuple[dict[str, Tensor], float]:
    """By parameter, and the loss."""
    policy = load_policy(model, LocalBackend(fast_path="off"))
    weights, scale_BT = local_weights(case)
    batch = case.graded.batch
    joined = [prompt + response for prompt, response in zip(case.prompts, case.responses, strict=True)]
    width = max(map(len, joined))
    logp_BT, entropy_BT = policy.logprobs(
        torch.tensor([row + [0] * (width - len(row)) for row in joined]),
        torch.tensor([len(prompt) for prompt in case.prompts]),
        batch.response_length_B,
        with_entropy=True,
        temperature=TEMPERATURE,
    )
    assert entropy_BT is not None
    losses = surrogate(
        logp_BT,
        case.old_logp_BT,
        weights,
        response_BT=(weights.alpha_BT != 0) | (weights.beta_BT != 0),
        imitated_BT=batch.imitated_BT(),
        imitation=case.method.imitation,
        clip=PpoClip(explored=case.method.clips_explored),
    )
    loss = ((losses.loss_BT + entropy_bonus(entropy_BT, batch.explored_BT(), BONUS)) * scale_BT).sum()
    loss.backward()
    return {n: p.grad.clone() for n, p in policy.named_parameters() if p.grad is not None}, float(loss)


def verl_rows(case: Case) -> list[dict[str, Tensor]]:
    """The rows as the queue holds them, with our columns; a filler makes their number even."""
    from prefix_rft.verl_backend.rows import weigh

    batch = case.graded.batch
    everything = batch.mini_batches(1)
    entropy_BT = case.entropy_BT if case.method.wants_entropy else None
    weighed = weigh(case.method, batch, everything, entropy_BT, AT, "constant", 10)
    rows = []
    for i, (prompt, response) in enumerate(zip(case.prompts, case.responses, strict=True)):
        n = len(response)
        rows.append(
            _row(prompt, response, mask=1)
            | {
                "old_log_probs": case.old_logp_BT[i, :n],
                "alpha": weighed.alpha_BT[i, :n],
                "beta": weighed.beta_BT[i, :n],
                "scale": weighed.scale_BT[i, :n],
                "imitated": batch.imitated_BT()[i, :n].long(),
            }
        )
    filler = _row([1] * 7, [1], mask=0)
    filler |= {name: torch.zeros(1) for name in ("old_log_probs", "alpha", "beta", "scale")}
    filler["imitated"] = torch.zeros(1, dtype=torch.long)
    return [*rows, filler] if len(rows) % 2 else rows


def _row(prompt: list[int], response: list[int], mask: int) -> dict[str, Tensor]:
    response_mask = torch.full((len(response),), mask)
    return {
        "prompts": torch.tensor(prompt),
        "responses": torch.tensor(response),
        "response_mask": response_mask,
        "loss_mask": response_mask.clone(),
        "input_ids": torch.tensor(prompt + response),
        "position_ids": torch.arange(len(prompt) + len(response)),
    }


@pytest.fixture(scope="module")
def gradients(
    verl_model: Path, verl_settings: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, dict[str, Any]]:
    """Of every case, by number of workers."""
    from prefix_rft.runs.identity import train_identity
    from prefix_rft.runs.store import Store
    from prefix_rft.verl_backend.config import verl_config
    from prefix_rft.verl_backend.launch import write_files
    from prefix_rft.verl_backend.loss import MethodLoss

    folder = tmp_path_factory.mktemp("engine")
    config = verl_settings(folder / "runs", verl_model)
    run = Store(config.store).create(train_identity(config), config)
    theirs = verl_config(config, write_files(run, verl_model, questions(), []), run, total_steps=3)
    from omegaconf import OmegaConf

    OmegaConf.save(theirs, folder / "verl.yaml", resolve=True)
    cases = {}
    for name in METHODS:
        case = make_case(name)
        loss = MethodLoss(case.method.imitation, PpoClip(explored=case.method.clips_explored), BONUS)
        for budget, tokens in BUDGETS.items():
            cases[f"{name}/{budget}"] = {
                "loss": loss,
                "rows": verl_rows(case),
                "temperature": TEMPERATURE,
                "micro_batch_tokens": tokens,
            }
    torch.save(cases, folder / "cases.pt")
    return {world: _run(folder, world) for world in WORKERS}


def _run(folder: Path, world: int) -> dict[str, Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "VERL_USE_EXTERNAL_MODULES": "prefix_rft.verl_backend.beside_trl,prefix_rft.verl_backend.testing",
        "VERL_PLATFORM": "cpu",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    script = str(Path(__file__).with_name("engine_process.py"))
    workers = [
        subprocess.Popen([sys.executable, script, str(folder), str(rank), str(world)], env=environment)
        for rank in range(world)
    ]
    assert [worker.wait(300) for worker in workers] == [0] * world
    found: dict[str, Any] = torch.load(folder / f"gradients_{world}.pt")
    return found


@pytest.mark.parametrize("name", METHODS)
def test_weights_are_exactly_those_of_the_local_backend(name):
    from prefix_rft.verl_backend.rows import weigh

    case = make_case(name)
    batch = case.graded.batch
    entropy_BT = case.entropy_BT if case.method.wants_entropy else None
    found = weigh(case.method, batch, batch.mini_batches(1), entropy_BT, AT, "constant", 10)
    weights, scale_BT = local_weights(case)
    assert torch.equal(found.alpha_BT, weights.alpha_BT)
    assert torch.equal(found.beta_BT, weights.beta_BT)
    assert torch.equal(found.scale_BT, scale_BT)
    assert bool((found.alpha_BT != 0).any())


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", METHODS)
def test_the_gradient_is_the_local_one_whatever_the_split_and_the_workers(
    name, budget, workers, gradients, verl_model
):
    expected, loss = local_gradient(make_case(name), verl_model)
    found = gradients[workers][f"{name}/{budget}"]
    assert found["loss"] == pytest.approx(loss, rel=1e-5, abs=1e-7)
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    assert largest > 1e-4
    assert expected.keys() == found["gradient"].keys()
    for parameter, gradient in expected.items():
        difference = (found["gradient"][parameter] - gradient).abs().max()
        assert float(difference) < 1e-5 * largest, parameter


@pytest.mark.parametrize("name", METHODS)
def test_reported_sums_do_not_depend_on_the_split_or_the_workers(name, gradients):
    sums = [
        tuple(gradients[workers][f"{name}/{budget}"][key] for key in ("clipped", "log_ratio", "ratio_tokens"))
        for workers in WORKERS
        for budget in BUDGETS
    ]
    assert sums[0][2] > 0
    for other in sums[1:]:
        assert other == pytest.approx(sums[0], rel=1e-5)
