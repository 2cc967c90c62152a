"""A run on verl from end to end on a CPU: a real Ray cluster, FSDP2 over gloo, weights handed to an inference engine.

Three rollout steps of four questions with eight rollouts, one of them hybrid. One run is never interrupted; another is
stopped by a signal after step 2 and resumed. Meanwhile somebody else's Ray cluster runs on the machine, and RAY_ADDRESS
names it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from prefix_rft.local.policy import load_policy
from prefix_rft.rollout import QuestionTokens, RolloutRequest
from prefix_rft.runs.checkpoint import verify
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import LocalBackend, RunConfig

pytestmark = [
    pytest.mark.verl,
    pytest.mark.skipif(find_spec("verl") is None, reason="verl is not installed (pip install -e '.[verl]')"),
]
HERE = Path(__file__).parent
STEPS = 3
NEIGHBOUR = """
import ray, sys
context = ray.init(address="local", num_cpus=1, include_dashboard=False, _temp_dir=sys.argv[1])
print(context.address_info["address"], flush=True)
input()
print(ray.get(ray.remote(lambda: "alive").remote()), len(ray.nodes()), flush=True)
"""


@dataclass
class Trained:
    """A finished run and what its inference engine wrote down."""

    config: RunConfig
    run: RunDir
    log: list[dict[str, Any]]
    left_over: list[str]
    """Processes and folders of Ray that outlived one of its processes."""
    asked: list[list[tuple[QuestionTokens, RolloutRequest]]]
    """By rollout step."""

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["kind"] == kind]

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """Of metrics.jsonl, without times and verl's own."""
        return [
            {k: v for k, v in row.items() if not k.startswith(("time/", "verl/"))}
            for row in self.run.metrics()
            if row["kind"] == kind
        ]


@pytest.fixture(scope="module")
def neighbour() -> Iterator[subprocess.Popen[str]]:
    """Somebody else's cluster; its address is its first line."""
    folder = tempfile.mkdtemp(prefix="n-", dir="/tmp")
    process = subprocess.Popen(
        [sys.executable, "-c", NEIGHBOUR, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.communicate("\n", timeout=60)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def address(neighbour: subprocess.Popen[str]) -> str:
    assert neighbour.stdout is not None
    return next(line.strip() for line in neighbour.stdout if ":" in line)


@dataclass
class Machine:
    """Starts runs' processes one after the other, and looks what they leave behind."""

    settings: Any
    model: Path
    folder: Path
    address: str
    marked: Any
    asked_of: Any

    def train(self, name: str, *stops: int | None) -> Trained:
        """One process for each stop; None goes to the end."""
        folder = self.folder / name
        folder.mkdir()
        log = folder / "log.jsonl"
        verl = {"actor_rollout_ref": {"rollout": {"engine_kwargs": {"cpu": {"log": str(log)}}}}}
        config = self.settings(folder / "runs", self.model, backend={"verl": verl}, rl={"steps": STEPS})
        (folder / "settings.json").write_text(config.model_dump_json(), encoding="utf-8")
        left_over = [process for stop in stops for process in self._process(folder, stop)]
        run = RunDir(Store(config.store).path(train_identity(config).id))
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return Trained(config, run, lines, left_over, self.asked_of(config, self.model))

    def fail(self, name: str) -> tuple[list[str], str]:
        """A run whose engine cannot write its log; what it leaves behind, and what it said."""
        folder = self.folder / name
        folder.mkdir()
        verl = {
            "actor_rollout_ref": {"rollout": {"engine_kwargs": {"cpu": {"log": str(folder / "no" / "log")}}}}
        }
        config = self.settings(folder / "runs", self.model, backend={"verl": verl})
        (folder / "settings.json").write_text(config.model_dump_json(), encoding="utf-8")
        return self._process(folder, None, code=1), (folder / "run.log").read_text(encoding="utf-8")

    def _process(self, folder: Path, stop: int | None, code: int = 0) -> list[str]:
        command = [
            sys.executable,
            str(HERE / "run_process.py"),
            str(folder / "settings.json"),
            str(self.model),
            *([str(stop)] if stop else []),
        ]
        started = self.marked(command, folder / "run.log", RAY_ADDRESS=self.address)
        assert started.process.wait(900) == (75 if stop else code), f"see {folder}/run.log"
        left_over: list[str] = started.left_over()
        return left_over


@pytest.fixture(scope="module")
def machine(
    verl_settings: Any,
    verl_model: Path,
    address: str,
    tmp_path_factory: pytest.TempPathFactory,
    marked: Any,
    asked_of: Any,
) -> Machine:
    return Machine(verl_settings, verl_model, tmp_path_factory.mktemp("runs"), address, marked, asked_of)


@pytest.fixture(scope="module")
def whole(machine: Machine) -> Trained:
    """Never interrupted."""
    return machine.train("whole", None)


@pytest.fixture(scope="module")
def resumed(machine: Machine) -> Trained:
    """Stopped by a signal after step 2, then gone on with."""
    return machine.train("resumed", 2, None)


def test_weights_arrive_as_they_were_trained_and_change_with_each_step(whole):
    syncs = whole.lines("sync")
    assert [line["step"] for line in syncs] == [0, 1, 2, 3]
    assert [line["trainer"] for line in syncs] == [line["rollout"] for line in syncs]
    assert len({line["trainer"] for line in syncs}) == STEPS + 1


def test_the_engine_continues_prefixes_of_the_demonstrations_token_by_token(whole):
    """At each step: our questions in our order, eight rollouts each, one from the demonstration's first tokens."""
    for step, asked in enumerate(whole.asked):
        sent = Counter(tuple(line["prompt"]) for line in whole.lines("request") if line["step"] == step)
        assert len(asked) == 4 * 8
        assert sent == Counter(question.prompt + request.prefix for question, request in asked)
        hybrid = [(question, request) for question, request in asked if request.prefix_id >= 0]
        assert len(hybrid) == 4
        for question, request in hybrid:
            assert question.demonstration is not None
            assert 0 < len(request.prefix) < len(question.demonstration)
            assert request.prefix == question.demonstration[: len(request.prefix)]


def test_the_share_of_the_prefix_follows_the_schedule(whole):
    measured = [row["prefix_tokens"] for row in whole.rows("train")]
    expected = [
        [len(request.prefix) for _, request in asked if request.prefix_id >= 0] for asked in whole.asked
    ]
    assert measured == [pytest.approx(sum(lengths) / len(lengths)) for lengths in expected]


def test_every_step_is_measured_under_the_names_of_the_local_backend(whole):
    rows = whole.rows("train")
    assert [row["step"] for row in rows] == [1, 2, 3]
    names = {
        "reward",
        "reward_hybrid",
        "prefix_share",
        "loss",
        "grad_norm",
        "learning_rate",
        "entropy_imitated",
    }
    names |= {
        "response_length",
        "truncated",
        "imitated_tokens",
        "explored_tokens",
        "clip_fraction",
        "entropy",
    }
    assert all(names <= row.keys() for row in rows)
    assert any(name.startswith("verl/") for name in whole.run.metrics()[0])
    (validation,) = whole.rows("validation")
    assert validation["step"] == STEPS
    assert 0 <= validation["validation/accuracy"] <= 1
    looked_at = [line for line in whole.lines("request") if line["step"] == STEPS]
    assert len(looked_at) == 3 * whole.config.evaluation.validation.samples


def test_the_checkpoint_is_a_model_folder_with_the_weights_of_the_last_step(whole):
    from prefix_rft.verl_backend.digest import digest

    (last,) = whole.run.checkpoints()
    verify(last)
    weights = load_file(last.path / "model.safetensors")
    weights.setdefault("lm_head.weight", weights["model.embed_tokens.weight"])
    assert digest(weights) == whole.lines("sync")[-1]["trainer"]
    policy = load_policy(last.path, LocalBackend())
    assert all(bool(weight.isfinite().all()) for _, weight in policy.named_parameters())


def test_resumed_after_a_signal_it_ends_as_if_it_had_never_stopped(whole, resumed):
    """Schedule, order of the data, optimizer state and sampling: all are in the last step's numbers and weights."""
    assert [line["step"] for line in resumed.lines("sync")] == [0, 1, 2, 2, 3]
    digests = [line["trainer"] for line in resumed.lines("sync")]
    assert digests[2] == digests[3]
    assert digests[:3] + digests[4:] == [line["trainer"] for line in whole.lines("sync")]
    assert resumed.rows("train") == whole.rows("train")
    assert resumed.rows("validation") == whole.rows("validation")
    shards = "verl/optim_world_size_1_rank_0.pt"
    states = [
        torch.load(trained.run.checkpoints()[-1].path / shards, weights_only=False)["state"]
        for trained in (whole, resumed)
    ]
    assert {float(state["step"]) for state in states[1].values()} == {2.0 * STEPS}
    for one, other in zip(states[0].values(), states[1].values(), strict=True):
        assert torch.equal(one["exp_avg"].full_tensor(), other["exp_avg"].full_tensor())


@pytest.mark.slow
def test_a_run_that_fails_leaves_no_process_behind_either(machine):
    left_over, said = machine.fail("failing")
    assert "FileNotFoundError" in said
    assert left_over == []


def test_no_process_is_left_behind_and_the_neighbour_lives_on(whole, resumed, neighbour):
    assert whole.left_over == resumed.left_over == []
    out, _ = neighbour.communicate("\n", timeout=60)
    assert out.split()[-2:] == ["alive", "1"]
