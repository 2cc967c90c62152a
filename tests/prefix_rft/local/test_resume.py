"""Stopped at any step and resumed, a run ends with the bits of one that never stopped."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from prefix_rft.errors import CheckpointError, DataError
from prefix_rft.local.trainer import Trainer
from prefix_rft.methods import METHODS
from prefix_rft.runs.checkpoint import latest_checkpoint
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig
from prefix_rft.stop import InterruptedRunError, StopFlag

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
    """All that the last checkpoint holds, and all that was measured but time."""
    last = run.checkpoints()[-1]
    rows = [{k: v for k, v in row.items() if not k.startswith("time/")} for row in run.metrics()]
    content = {path.name: path.read_bytes() for path in last.path.iterdir()}
    assert content.keys() >= {"model.safetensors", "optimizer.safetensors", "config.json", "tokenizer.json"}
    return {"step": last.step, "metrics": rows} | content


@pytest.mark.parametrize("method", ["prefix_rft", "sft"])
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


@pytest.mark.parametrize("name", METHODS)
def test_every_method_ends_alike_after_a_stop_half_way(runner: Runner, name: str) -> None:
    _assert_resumes(runner, _four_steps(runner.task, name))


# ReLIFT remembers two things more: the questions that wait, and the second optimizer's moments.


@pytest.fixture
def relift(runner: Runner) -> Runner:
    """With a task so hard that most questions go into the buffer."""
    runner.grader.correct = 0.15
    return runner


@pytest.mark.parametrize("backend", [{}, {"dtype": "bfloat16"}], ids=["float32", "bfloat16"])
def test_a_buffer_and_a_second_optimizer_straddle_the_stop(relift: Runner, backend: dict[str, Any]) -> None:
    """In bfloat16 both optimizers move the same float32 weights, which the first one saves."""
    run = _assert_resumes(relift, _four_steps(relift.task, "relift", questions=4, backend=backend))
    rows = [row for row in run.metrics() if row["kind"] == "train"]
    imitating = {row["step"] for row in rows if "imitation_loss" in row}
    assert imitating & {1, 2}, "SFT steps before the stop"
    assert imitating & {3, 4}, "SFT steps after it"
    folder = run.path / "checkpoints/step_2"
    assert json.loads((folder / "method.json").read_text())["unsolved"], "questions wait across the stop"
    steps = {float(v) for k, v in _optimizer_state(folder, "_interleaved").items() if k.startswith("step/")}
    assert steps == {len(imitating & {1, 2})}
    copies = [name for name in _optimizer_state(folder) if name.startswith("master/")]
    assert bool(copies) == bool(backend)
    assert not any(name.startswith("master/") for name in _optimizer_state(folder, "_interleaved"))


@pytest.mark.parametrize("name", ["optimizer_interleaved.safetensors", "method.json"])
def test_without_what_it_remembers_it_does_not_go_on(relift: Runner, name: str) -> None:
    config = _four_steps(relift.task, "relift")
    run = relift.new(config, "runs")
    relift.train(run, config, stop_after=2)
    (run.path / "checkpoints/step_2" / name).unlink()
    with pytest.raises(CheckpointError, match=rf"step_2 is damaged: {name} is missing"):
        relift.train(run, config)


def test_a_buffer_that_never_fills_is_refused_before_the_first_step(relift: Runner) -> None:
    config = _four_steps(relift.task, "relift")
    method = config.method.model_copy(update={"buffer": 1000})
    run = relift.new(config, "runs")
    with pytest.raises(DataError, match=r"method\.buffer=1000 .* ReLIFT would be RFT"):
        relift.train(run, config.model_copy(update={"method": method}))
    assert run.metrics() == []


def _four_steps(task: Any, name: str, questions: int = 6, **sections: Any) -> RunConfig:
    """Four rollout steps (of sft too: an epoch of 32 questions), checkpointed every second."""
    common = {"checkpoint_every": 2, "learning_rate": 1e-2}
    optimisation = {
        "sft": {"epochs": 1, "questions_per_step": 8, **common},
        "rl": {"steps": 4, "questions_per_step": questions, "mini_batches": 2, **common},
    }
    changes = {"relift": {"buffer": questions - 1, "learning_rate": 1e-2}}
    method = {**task.config(name).method.model_dump(), **changes.get(name, {})}
    config: RunConfig = task.config(name, method=method, optimisation=optimisation, **sections)
    return config


def _assert_resumes(runner: Runner, config: RunConfig) -> RunDir:
    """The same bits, stopped after two steps or not; returns the run that was stopped."""
    straight, stopped = runner.new(config, "straight"), runner.new(config, "stopped")
    runner.train(straight, config)
    runner.train(stopped, config, stop_after=2)
    runner.train(stopped, config)
    assert _result(stopped) == _result(straight)
    assert any(row.get("updated_rows") for row in straight.metrics())
    return stopped


def _optimizer_state(folder: Path, which: str = "") -> dict[str, Any]:
    state: dict[str, Any] = load_file(folder / f"optimizer{which}.safetensors")
    return state


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
