"""A run on verl with verl's own vLLM rollout on a CPU: two rollout steps, in the environment of `make vllm-verl`.

The engine writes down what it is asked, what it answers and which weights it holds; the trainer what its own workers
make of the same responses. Here both are compared with each other, with the demonstrations and with the checkpoints.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from experiments.compose import compose
from prefix_rft.local.policy import load_policy
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import LocalBackend, RunConfig
from prefix_rft.verl_backend.digest import digest

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
VLLM_VERL = ROOT / os.environ.get("VLLM_VERL", ".venv-vllm-verl")
STEPS = 2
TEMPERATURE = 0.8
CLOSE = 2e-5
"""Nats. Two programs in float32; measured: 2.4e-6. A step changes log-probabilities by more than 0.1."""
ROLLOUT = "backend.verl.actor_rollout_ref.rollout"


def overrides(model: Path, folder: Path) -> list[str]:
    """As on the command line of `python -m experiments.run`."""
    return [
        "method=prefix_rft",
        "method.rollouts=8",
        "backend=verl_cpu",
        "backend.engine=vllm",
        "backend.plugin=prefix_rft.verl_backend.testing.vllm_rollout",
        f"{ROLLOUT}.enable_sleep_mode=false",
        f"{ROLLOUT}.free_cache_engine=false",
        f"{ROLLOUT}.enforce_eager=true",
        f"{ROLLOUT}.engine_kwargs.vllm.log={folder}/engine.jsonl",
        "model=pretrained",
        f"model.path={model}",
        "data=jsonl",
        f"data.path={model.parent}/questions.jsonl",
        "data.validation_questions=3",
        "data.test_questions=0",
        "data.max_prompt_tokens=8",
        "data.max_response_tokens=12",
        "data.grading.extract=[last_number]",
        "data.grading.verifier=exact",
        f"optimisation.rl.steps={STEPS}",
        "optimisation.rl.questions_per_step=4",
        "optimisation.rl.mini_batches=2",
        "optimisation.rl.learning_rate=1e-2",
        f"optimisation.rl.temperature={TEMPERATURE}",
        "optimisation.rl.checkpoint_every=1",
        "optimisation.rl.validate_every=0",
        "evaluation.splits=[]",
        "tracking=disabled",
        f"store={folder}/runs",
    ]


@dataclass
class Trained:
    """A finished run, what its engine and its trainer wrote down, and what it left behind."""

    model: Path
    run: RunDir
    engine: list[dict[str, Any]]
    actor: list[dict[str, Any]]
    asked: list[list[tuple[Any, Any]]]
    left_over: list[str]

    def requests(self, step: int) -> list[dict[str, Any]]:
        return [line for line in self.engine if line["kind"] == "request" and line["step"] == step]

    @cached_property
    def pairs(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Every row of every step as the trainer scored it, with the engine's request that made it."""
        found = []
        for step in range(STEPS):
            made: dict[tuple[int, ...], list[dict[str, Any]]] = {}
            for line in self.requests(step):
                made.setdefault((*line["prompt"], *line["written"]), []).append(line)
            rows = [row for row in self.actor if row["step"] == step]
            found += [(row, made[(*row["prompt"], *row["response"])].pop()) for row in rows]
            assert not any(made.values())
        return found

    def differences(self, hybrid: bool) -> list[float]:
        """Between the actor's and the engine's log-probabilities of the tokens that the engine wrote."""
        return [
            abs(ours - theirs)
            for row, line in self.pairs
            if (row["prefix"] > 0) == hybrid
            for ours, theirs in zip(row["logp"][row["prefix"] :], line["logp"], strict=True)
        ]


class Peak(threading.Thread):
    """Memory of a run's processes together; pages that several share count once."""

    def __init__(self, started: Any) -> None:
        super().__init__(daemon=True)
        self.started, self.bytes, self.over = started, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(3):
            self.bytes = max(self.bytes, sum(map(_share, self.started.living())))


def sockets() -> set[str]:
    """Through which verl hands weights over."""
    return set(map(str, Path("/tmp").glob("rl-colocate-zmq-*")))


def _share(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


@pytest.fixture(scope="module")
def python() -> Path:
    """Of the environment with verl and vLLM."""
    found = VLLM_VERL / "bin" / "python"
    if not found.exists():
        pytest.skip(f"no environment with verl and vLLM at {VLLM_VERL}: make vllm-verl")
    return found


@pytest.fixture(scope="module")
def trained(
    python: Path, vllm_model: Path, marked: Any, asked_of: Any, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    folder = tmp_path_factory.mktemp("vllm_run")
    config = compose(overrides(vllm_model, folder))
    (folder / "settings.json").write_text(config.model_dump_json(), encoding="utf-8")
    script = Path(__file__).with_name("recorded_process.py")
    arguments = [script, folder / "settings.json", vllm_model, folder / "actor.jsonl"]
    began = time.monotonic()
    before = sockets()
    started = marked([str(python), *map(str, arguments)], folder / "run.log")
    peak = Peak(started)
    peak.start()
    try:
        assert started.process.wait(1800) == 0, f"see {folder}/run.log"
    finally:
        left_over = [*started.left_over(), *(sockets() - before)]
        started.end()
        peak.over.set()
    print(f"{time.monotonic() - began:.0f} s, {peak.bytes / 2**30:.1f} GiB at the peak")
    return _read(config, vllm_model, folder, asked_of, left_over)


def _read(config: RunConfig, model: Path, folder: Path, asked_of: Any, left_over: list[str]) -> Trained:
    run = RunDir(Store(config.store).path(train_identity(config).id))
    engine, actor = (
        [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("engine", "actor")
    )
    return Trained(model, run, engine, actor, asked_of(config, model), left_over)


def test_the_engine_holds_the_weights_of_the_checkpoints_which_change_with_each_step(trained):
    folders = [trained.model, *(checkpoint.path for checkpoint in trained.run.checkpoints())]
    assert len(folders) == 1 + STEPS
    saved = []
    for folder in folders:
        weights = load_file(folder / "model.safetensors")
        weights.pop("lm_head.weight", None)  # the embedding once more; the engine holds it once
        saved.append(digest(weights))
    syncs = [line for line in trained.engine if line["kind"] == "sync"]
    assert [line["step"] for line in syncs] == [0, 1, 2]
    assert [line["rollout"] for line in syncs] == saved
    assert len(set(saved)) == 1 + STEPS


def test_the_engine_continues_prefixes_of_the_demonstrations_token_by_token(trained):
    for step, asked in enumerate(trained.asked):
        assert len(asked) == 4 * 8
        sent = Counter(tuple(line["prompt"]) for line in trained.requests(step))
        assert sent == Counter(question.prompt + request.prefix for question, request in asked)
        hybrid = [(question, request) for question, request in asked if request.prefix_id >= 0]
        assert len(hybrid) == 4
        for question, request in hybrid:
            assert 0 < len(request.prefix) < len(question.demonstration)
            assert request.prefix == question.demonstration[: len(request.prefix)]


def test_what_is_trained_on_is_the_prefix_and_then_what_the_engine_wrote(trained):
    assert len(trained.pairs) == STEPS * 4 * 8
    for row, line in trained.pairs:
        assert line["prompt"] == row["prompt"] + row["response"][: row["prefix"]]
        assert line["written"] == row["response"][row["prefix"] :]
        ended = 1 in line["written"]  # the end-of-sequence token
        assert ended == (line["written"][-1] == 1)
        assert ended or len(row["response"]) == 12
    assert any(1 in line["written"] for _, line in trained.pairs)


def test_the_share_of_the_prefix_follows_the_schedule(trained):
    measured = [row["prefix_tokens"] for row in trained.run.metrics() if row["kind"] == "train"]
    lengths = [[len(request.prefix) for _, request in asked if request.prefix] for asked in trained.asked]
    assert measured == [pytest.approx(sum(step) / len(step)) for step in lengths]


def test_log_probabilities_of_the_engine_are_those_of_the_actor(trained):
    ordinary, hybrid = trained.differences(hybrid=False), trained.differences(hybrid=True)
    print(f"largest difference: {max(ordinary):.1e} nats over {len(ordinary)} tokens of ordinary rows,")
    print(f"{max(hybrid):.1e} over {len(hybrid)} tokens after a prefix")
    assert len(ordinary) > 200
    assert hybrid
    assert max(ordinary + hybrid) < CLOSE


def test_with_the_weights_from_before_the_step_they_would_be_others(trained):
    """So an engine that was not told of the new weights could not pass the test above."""
    rows = [row for row in trained.actor if row["step"] == 1]
    joined = [row["prompt"] + row["response"] for row in rows]
    logp_BT, _ = load_policy(trained.model, LocalBackend()).logprobs(
        torch.tensor([ids + [0] * (20 - len(ids)) for ids in joined]),
        torch.tensor([len(row["prompt"]) for row in rows]),
        torch.tensor([len(row["response"]) for row in rows]),
        with_entropy=False,
        temperature=TEMPERATURE,
    )
    moved = [
        float((torch.tensor(row["logp"]) - old_T.detach()[: len(row["logp"])]).abs().max())
        for row, old_T in zip(rows, logp_BT, strict=True)
    ]
    print(f"the step moved a row's log-probabilities by at least {min(moved):.2f}")
    assert min(moved) > 1000 * CLOSE


def test_no_process_folder_or_socket_is_left_behind(trained):
    assert trained.left_over == []
