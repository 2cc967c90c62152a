"""Stopped at any step and resumed, a run ends with the bits of one that never stopped."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from prefix_rft.errors import CheckpointError
from prefix_rft.local.stop import InterruptedRunError, StopFlag
from prefix_rft.local.trainer import Trainer
from prefix_rft.runs.checkpoint import latest_checkpoint
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig

STEPS = 6


@dataclass
class Runner:
    """Trains in this process, graded by chance."""

    task: Any
    grader: Any
    root: Path

    def new(self, config: RunConfig, place: str) -> RunDir:
        return Store(self.root / place).create(train_identity(config), config)

    def train(
        self, run: RunDir, config: RunConfig, *, stop_after: int | None = None, start: Path | None = None
    ) -> None:
        """To the end, or until so many steps are done."""
        stop = StopFlag()

        def progress(step: int, total: int) -> None:
            stop.signal = "SIGTERM" if step == stop_after else None

        trainer = Trainer(config, run, start or self.task.model, self.grader)
        if stop_after is None or stop_after >= trainer.total_steps:
            trainer.run_steps(stop, progress)
        else:
            with pytest.raises(InterruptedRunError, match=f"SIGTERM at rollout step {stop_after} of"):
                trainer.run_steps(stop, progress)


@pytest.fixture
def runner(chain_task: Any, coin: Any, tmp_path: Path) -> Runner:
    return Runner(chain_task, coin, tmp_path)


def _config(task: Any, method: str, **sections: Any) -> RunConfig:
    common = {"questions_per_step": 6, "checkpoint_every": 3, "validate_every": 2, "learning_rate": 1e-2}
    optimisation = {
        "sft": {"epochs": 1, "warmup_fraction": 0.25, **common},
        "rl": {"steps": STEPS, "mini_batches": 2, "decay": "cosine", **common},
    }
    config: RunConfig = task.config(method, optimisation=optimisation, **sections)
    return config


def _result(run: RunDir) -> dict[str, Any]:
    last = run.checkpoints()[-1]
    rows = [{k: v for k, v in row.items() if not k.startswith("time/")} for row in run.metrics()]
    names = ("model.safetensors", "optimizer.safetensors", "config.json", "tokenizer.json")
    return {"step": last.step, "metrics": rows} | {name: (last.path / name).read_bytes() for name in names}


@pytest.mark.parametrize("method", ["prefix_rft", "rft", "sft"])
def test_stopped_at_every_step_and_at_random_ones(runner: Runner, method: str) -> None:
    config = _config(runner.task, method)
    straight = runner.new(config, "straight")
    runner.train(straight, config)
    wanted = _result(straight)
    total = wanted["step"]
    at_every_step = list(range(1, total))
    at_random = sorted(random.Random(method).sample(range(1, total), 3))
    for place, stops in (("every", at_every_step), ("random", at_random)):
        run = runner.new(config, place)
        for stop_after in (*stops, None):
            runner.train(run, config, stop_after=stop_after)
        assert _result(run) == wanted
    assert any(row.get("updated_rows") for row in wanted["metrics"])


def test_the_general_path_resumes_alike(runner: Runner) -> None:
    config = _config(runner.task, "prefix_rft", backend={"fast_path": "off"})
    straight, run = runner.new(config, "straight"), runner.new(config, "stopped")
    runner.train(straight, config)
    for stop_after in (3, 5, None):
        runner.train(run, config, stop_after=stop_after)
    assert _result(run) == _result(straight)


def test_stopped_before_the_first_step_there_is_nothing_to_save(runner: Runner) -> None:
    config = _config(runner.task, "rft")
    run = runner.new(config, "runs")
    runner.train(run, config, stop_after=0)
    assert run.checkpoints() == []
    assert run.metrics() == []


def test_rows_after_the_checkpoint_are_written_again(runner: Runner) -> None:
    """As after a kill: steps 4 and 5 are measured, but the newest checkpoint is that of step 3."""
    config = _config(runner.task, "prefix_rft")
    straight, run = runner.new(config, "straight"), runner.new(config, "killed")
    runner.train(straight, config)
    runner.train(run, config, stop_after=5)
    shutil.rmtree(run.path / "checkpoints/step_5")
    assert run.metrics()[-1]["step"] == 5
    runner.train(run, config)
    assert _result(run) == _result(straight)


def test_two_runs_in_a_chain_start_one_from_the_other(runner: Runner) -> None:
    """sft, then sft_rft from its last checkpoint, with both stopped on the way."""
    results = []
    for place, stops in (("straight", ()), ("stopped", (2,))):
        first, second = _config(runner.task, "sft"), _config(runner.task, "sft_rft")
        sft, rft = runner.new(first, place), runner.new(second, place)
        for stop_after in (*stops, None):
            runner.train(sft, first, stop_after=stop_after)
        newest = latest_checkpoint(sft.path)
        assert newest is not None
        for stop_after in (*stops, None):
            runner.train(rft, second, stop_after=stop_after, start=newest.path)
        results.append((_result(sft), _result(rft)))
    assert results[0] == results[1]
    sft_weights, rft_weights = (result["model.safetensors"] for result in results[0])
    assert sft_weights != rft_weights


def test_the_newest_checkpoint_counts_not_the_starting_model(runner: Runner, tmp_path: Path) -> None:
    """The starting model may be gone by then."""
    config = _config(runner.task, "rft")
    run = runner.new(config, "runs")
    runner.train(run, config, stop_after=4)
    runner.train(run, config, start=tmp_path / "gone")
    assert run.checkpoints()[-1].step == STEPS


# Checkpoints that must not be trusted.


@pytest.fixture
def stopped(runner: Runner) -> tuple[Runner, RunConfig, RunDir]:
    """A run with checkpoints of steps 3 and 4."""
    config = _config(runner.task, "prefix_rft")
    run = runner.new(config, "runs")
    runner.train(run, config, stop_after=4)
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [3, 4]
    return runner, config, run


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
@pytest.mark.parametrize("kind", ["half", "flipped", "missing"])
def test_a_damaged_file_is_named_and_the_checkpoint_before_takes_over(
    stopped: tuple[Runner, RunConfig, RunDir], name: str, kind: str
) -> None:
    runner, config, run = stopped
    folder = run.path / "checkpoints/step_4"
    content = (folder / name).read_bytes()
    spoilt = {"half": content[: len(content) // 2], "flipped": content[:-1] + bytes([content[-1] ^ 1])}
    (folder / name).unlink()
    if kind in spoilt:
        (folder / name).write_bytes(spoilt[kind])
    before = _files(run)
    with pytest.raises(
        CheckpointError, match=rf"step_4 is damaged: {name} is .*Delete that folder; the run then"
    ):
        runner.train(run, config)
    assert _files(run) == before, "a refusal changes nothing"
    shutil.rmtree(folder)
    runner.train(run, config)
    straight = runner.new(config, "straight")
    runner.train(straight, config)
    assert _result(run) == _result(straight)


def test_the_checkpoint_of_another_run_is_refused(stopped: tuple[Runner, RunConfig, RunDir]) -> None:
    runner, _, run = stopped
    config = _config(runner.task, "rft")
    other = runner.new(config, "runs")
    shutil.copytree(run.path / "checkpoints", other.path / "checkpoints")
    with pytest.raises(
        CheckpointError, match=rf"belongs to run {run.id}, not to run {other.id}.*Move it back"
    ):
        runner.train(other, config)


def test_what_a_killed_writer_left_is_not_taken_for_a_checkpoint(
    stopped: tuple[Runner, RunConfig, RunDir],
) -> None:
    runner, config, run = stopped
    half = run.path / "checkpoints" / ".tmp-step_5-12345678"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    runner.train(run, config)
    straight = runner.new(config, "straight")
    runner.train(straight, config)
    assert _result(run) == _result(straight)
    assert not half.exists(), "the next save clears it away"


def test_the_optimizer_comes_back_with_the_weights(stopped: tuple[Runner, RunConfig, RunDir]) -> None:
    """Two optimizer steps a rollout step: after four rollout steps every moment has seen eight."""
    _, _, run = stopped
    state = load_file(run.path / "checkpoints/step_4/optimizer.safetensors")
    steps = {float(value) for name, value in state.items() if name.startswith("step/")}
    assert steps == {8.0}


def _files(run: RunDir) -> dict[str, bytes]:
    return {
        str(path.relative_to(run.path)): path.read_bytes() for path in run.path.rglob("*") if path.is_file()
    }
