"""A store on a file system that several machines share, which shows late what was made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments import stages, worker
from experiments.cluster import job as cluster_job
from prefix_rft.runs import store
from prefix_rft.runs.checkpoint import list_checkpoints, verify
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.markers import TRAIN
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import Store
from prefix_rft.stop import InterruptedRunError, StopFlag

MakeJob = Callable[..., Any]
SHORT = {"rl": {"steps": 6, "mini_batches": 2, "questions_per_step": 6, "checkpoint_every": 2}}


class Late:
    """What the file system does not show yet; opening and renaming go to the server, which has it."""

    def __init__(self) -> None:
        self.listed: set[str] = set()
        """Names that no listing has."""
        self.seen: set[str] = set()
        """Names that no look at a file finds."""
        self._scandir, self._stat = os.scandir, os.stat

    def scandir(self, path: Any = ".") -> Any:
        with self._scandir(path) as entries:
            return _Listing([entry for entry in entries if entry.name not in self.listed])

    def stat(self, path: Any, *given: Any, **named: Any) -> os.stat_result:
        if not isinstance(path, int) and self.seen & set(Path(os.fsdecode(path)).parts):
            raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
        return self._stat(path, *given, **named)


class _Listing:
    def __init__(self, entries: Sequence[os.DirEntry[str]]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> _Listing:
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self._entries)

    def __enter__(self) -> _Listing:
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Late:
    made = Late()
    monkeypatch.setattr(os, "scandir", made.scandir)
    monkeypatch.setattr(os, "stat", made.stat)
    return made


def test_the_last_checkpoint_is_the_markers_whatever_a_listing_says(make_job: MakeJob, late: Late) -> None:
    """Else an evaluation on another node would be one of an earlier step."""
    job = make_job(optimisation=SHORT)
    job.finish_here()
    late.listed.add("step_6")
    assert [found.step for found in list_checkpoints(job.run.path)] == [4]
    assert stages.trained_model(job.run).name == "step_6"


@pytest.mark.parametrize(
    "how", [pytest.param("listed", marks=pytest.mark.slow), "seen and listed", "damaged"]
)
def test_a_checkpoint_that_shows_late_costs_its_steps_alone(
    make_job: MakeJob, tmp_path: Path, late: Late, how: str
) -> None:
    straight = make_job(store=tmp_path / "straight", optimisation=SHORT)
    straight.finish_here()
    job = make_job(optimisation=SHORT)
    stop = StopFlag()

    class Stopping(StateWriter):
        def progress(self, step: int, total_steps: int | None = None) -> None:
            super().progress(step, total_steps)
            stop.signal = "SIGTERM" if step == 4 else None

    with RunLock(job.run.path), pytest.raises(InterruptedRunError):
        stages.train(job.run, job.request.config, None, Stopping(job.run.path), stop)
    newest = list_checkpoints(job.run.path)[-1]
    late.listed.add(newest.path.name)
    if how != "listed":
        late.seen.add(newest.path.name)

    class Showing(StateWriter):
        def progress(self, step: int, total_steps: int | None = None) -> None:
            super().progress(step, total_steps)
            if step == 5:
                late.listed.clear()

    if how == "damaged":
        (newest.path / "model.safetensors").write_bytes(b"half")
    rename = Path.rename

    def shows_when_taken(self: Path, target: Any) -> Path:
        try:
            return rename(self, target)
        except OSError:
            late.seen.clear()
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", shows_when_taken)
        job.finish_here(Showing(job.run.path))
    assert job.result() == straight.result()
    for checkpoint in list_checkpoints(job.run.path):
        verify(checkpoint)


def test_a_run_that_another_machine_has_just_made_is_waited_for(
    make_job: MakeJob, late: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    identity, config = job.run.identity(), job.request.config
    late.seen.add(job.run.id)
    monkeypatch.setattr(store.time, "sleep", lambda seconds: late.seen.clear())
    assert Store(config.store).create(identity, config) == job.run
    assert [event["event"] for event in job.run.events()] == ["created"]


def test_a_job_waits_for_the_training_of_another_node_to_show(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(optimisation=SHORT)
    waits: list[float] = []

    def shows_at_the_third_look(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            job.finish_here()

    monkeypatch.setattr(cluster_job.time, "sleep", shows_at_the_third_look)
    cluster_job._await(worker.Request(job.run.id, None, job.request.config, only="evaluate"))
    assert len(waits) == 3
    assert job.run.stages.is_done(TRAIN)


def test_a_job_does_not_wait_for_ever(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job, began = make_job(), time.monotonic()
    monkeypatch.setattr(cluster_job, "_VISIBLE_SECONDS", 0.0)
    cluster_job._await(worker.Request(job.run.id, None, job.request.config, only="evaluate"))
    assert time.monotonic() - began < 1
