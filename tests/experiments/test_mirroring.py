"""Which runs are mirrored to W&B's offline files once a command is over, and what their sweep says of them."""

from __future__ import annotations

import os

import pytest

from experiments import mirroring, sweeps
from experiments.mirroring import is_behind, label, mirror_finished, varied_tags
from experiments.plan import plan
from experiments.selection import select
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.store import Store
from prefix_rft.runs.tracking_labels import FOLDER, read_labels
from prefix_rft.runs.tracking_position import POSITION_FILE
from prefix_rft.settings import RunConfig, parse


@pytest.fixture
def finished(tmp_path):
    """Three runs: with rows, without any, and with rows but tracking disabled."""
    store, tasks = Store(tmp_path / "runs"), []
    for seed, wandb in enumerate(("offline", "offline", "disabled")):
        values = {"method": {"name": "rft"}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}}
        config = parse(RunConfig, values | {"seed": seed, "tracking": {"wandb": wandb}})
        task = plan([config]).tasks[-1]
        run = store.create(task.run.identity, config)
        if seed != 1:
            MetricsWriter(run.path).append(1, "train", {"reward": 0.5})
        tasks.append(task)
    return store, tasks


@pytest.fixture
def mirrored(monkeypatch):
    """The run directories that were handed to the mirror, by call; the mirror itself succeeds or not."""
    calls = []

    def answer(complete: bool) -> list[list[str]]:
        monkeypatch.setattr(
            mirroring,
            "mirror_runs",
            lambda paths, log: calls.append([path.name for path in paths]) or complete,
        )
        return calls

    return answer


def test_offline_runs_with_rows_are_mirrored(finished, mirrored):
    calls = mirrored(True)
    mirror_finished(*finished)
    assert calls == [[finished[1][0].id]]


def test_a_run_is_mirrored_again_only_when_it_has_newer_rows(finished, mirrored):
    calls, (store, tasks) = mirrored(True), finished
    position = store.path(tasks[0].id) / FOLDER / POSITION_FILE
    position.parent.mkdir()
    position.write_text("{}")
    mirror_finished(store, tasks)
    assert calls == []
    metrics = store.path(tasks[0].id) / "metrics.jsonl"
    os.utime(metrics, ns=(0, position.stat().st_mtime_ns + 1))
    mirror_finished(store, tasks)
    assert calls == [[tasks[0].id]]


def test_a_mirror_that_fails_is_said_to_have(finished, mirrored, capsys):
    mirrored(False)
    mirror_finished(*finished)
    assert "the mirror to W&B is not complete (log: " in capsys.readouterr().err


def test_a_new_evaluation_or_label_is_mirrored_too(finished, mirrored):
    calls, (store, tasks) = mirrored(True), finished
    run = store.path(tasks[0].id)
    for name in ("eval/test/avg4-00c0ffee/scores.json", "wandb/labels.json"):
        position = run / FOLDER / POSITION_FILE
        position.parent.mkdir(exist_ok=True)
        position.write_text("{}")
        assert not is_behind(run)
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("{}")
        os.utime(run / name, ns=(0, position.stat().st_mtime_ns + 1))
        assert is_behind(run)
        (run / name).unlink()
    mirror_finished(store, tasks)
    assert calls == []


def test_a_live_run_is_left_to_its_own_mirror(finished, mirrored):
    calls, (store, tasks) = mirrored(True), finished
    with RunLock(store.path(tasks[0].id)):
        mirror_finished(store, tasks)
    assert calls == []


@pytest.fixture
def swept(tmp_path):
    """A base model and a run of it, as the sweep `baseline_choice` asks for them."""
    selection = select("baseline_choice", ["seed=1", f"store={tmp_path / 'runs'}"])
    config = next(config for config in selection.configs if config.method.hybrid_rollouts == 4)
    tasks = plan([config]).tasks
    return [(selection.store.create(task.run.identity, task.config), task.config) for task in tasks]


def test_a_run_is_labelled_with_what_its_sweep_varies(swept):
    for run, config in swept:
        label(run, config)
    base, trained = (read_labels(run.path)["baseline_choice"].tags for run, _ in swept)
    assert base == ()  # many methods and seeds share it
    assert trained == (
        *("method.baseline=group", "method.hybrid_rollouts=4", "method.clip_prefix=false", "seed=1"),
    )


def test_a_run_of_no_sweep_gets_no_labels(swept):
    run, config = swept[-1]
    label(run, config.model_copy(update={"sweep": None}))
    label(run, config.model_copy(update={"sweep": "one that was renamed"}))
    assert read_labels(run.path) == {}


def test_labels_that_cannot_be_written_stop_nothing(swept, capsys):
    run, config = swept[-1]
    (run.path / FOLDER).mkdir()
    (run.path / FOLDER / "labels.json").write_text("{")
    label(run, config)
    assert f"run {run.id} has no tags of baseline_choice in W&B" in capsys.readouterr().err


@pytest.mark.parametrize("name", sweeps.names())
def test_every_sweep_tells_its_runs_apart_by_tags(name):
    """But for whole groups of settings, which have no name of their own."""
    configs = select(name, ["seed=0"]).configs
    assert all(varied_tags(config, "train") for config in configs)
    assert len({varied_tags(config, "train") for config in configs}) > 1
