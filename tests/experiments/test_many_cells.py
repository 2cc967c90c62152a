"""What a submission does for each run, counted: neither files nor waits for the disk grow faster than the runs."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from analysis.cells import open_run
from experiments import plan as plan_module
from experiments.cluster import launch
from experiments.cluster.launch import Asked, submit_cells
from experiments.compose import compose_all
from prefix_rft import plain_yaml
from prefix_rft.runs.store import Store
from prefix_rft.settings import RunConfig
from slurm.submit import Outcome
from slurm.testing.fake import FakeSlurm


def cells(seeds: int, store: Path) -> list[RunConfig]:
    return compose_all([["method=rft", f"seed={seed}", f"store={store}"] for seed in range(seeds)])


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """One whose jobs need no copy of the code."""
    (tmp_path / "cluster.yaml").write_text("resources: {minutes: 5}\n")
    monkeypatch.setattr(launch, "code", lambda store: None)
    return Asked(str(tmp_path / "cluster.yaml"))


def test_every_run_waits_for_the_disk_as_often_however_many_there_are(
    tmp_path: Path, cluster: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: Counter[int] = Counter()
    for runs in (4, 8):
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", lambda descriptor, runs=runs: waits.update([runs]))
            submit_cells(cells(runs, tmp_path / str(runs)), cluster, FakeSlurm())
    # Three files and two folders of the run as it appears, its request and its state, each with the folder.
    assert waits[8] - waits[4] == 4 * 9


def test_what_two_runs_have_alike_is_written_as_yaml_once(tmp_path: Path, cluster: Asked) -> None:
    plain_yaml._part.cache_clear()
    submit_cells(cells(8, tmp_path / "runs"), cluster, FakeSlurm())
    # Every part of the first run's settings, and the seed of each of the other seven.
    assert plain_yaml._part.cache_info().misses == len(RunConfig.model_fields) + 7
    assert {run.config().seed for run in Store(tmp_path / "runs").runs()} == set(range(8))


def test_all_runs_are_written_down_before_slurm_is_asked_and_one_that_fails_stops_it(
    tmp_path: Path, cluster: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no")

    monkeypatch.setattr(launch.Requests, "write", refuse)
    slurm = FakeSlurm()
    with pytest.raises(OSError, match="no"):
        submit_cells(cells(3, tmp_path / "runs"), cluster, slurm)
    assert slurm.scripts == []


def test_what_is_settled_is_put_together_once_for_all_jobs() -> None:
    class Counting(set[Any]):
        unions = 0

        def __or__(self, other: Any) -> Any:
            Counting.unions += 1
            return super().__or__(other)

    class Named:
        def __init__(self, name: str) -> None:
            self.key = (name, "train")

    jobs = [Named(str(number)) for number in range(50)]
    outcome = Outcome(done=Counting({("0", "train")}), live={("1", "train")})
    assert [job.key[0] for job in outcome.waiting(jobs)] == [str(number) for number in range(2, 50)]  # type: ignore[arg-type]
    assert Counting.unions == 1


def test_a_plan_asks_each_cell_s_evaluation_once_for_each_of_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RunConfig] = []
    original = plan_module.evaluations
    monkeypatch.setattr(plan_module, "evaluations", lambda config: asked.append(config) or original(config))
    samples = [["method=rft", f"evaluation.samples={count}", f"store={tmp_path}"] for count in range(8, 18)]
    base, run = plan_module.plan(compose_all(samples)).tasks
    # Every cell's base model and run, which all share and ask to be evaluated in ten ways.
    assert len(asked) == 20
    assert len(base.asked) == len(run.asked) == 10


def test_a_run_that_is_not_there_is_looked_for_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "_ids", lambda store: pytest.fail("listed the whole store"))
    assert open_run(Store(tmp_path), "0123456789ab") is None
