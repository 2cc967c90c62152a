"""Which runs are mirrored to W&B's offline files once a command is over."""

from __future__ import annotations

import os

import pytest

from experiments import mirroring
from experiments.mirroring import mirror_finished
from experiments.plan import plan
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.mirror import FOLDER, POSITION_FILE
from prefix_rft.runs.store import Store
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
