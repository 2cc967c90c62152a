"""Clocks that jump by hours, while a run goes on and between two attempts; files of the future."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from analysis import cache
from analysis.reading import busy_seconds, read_run
from analysis.results import frames
from analysis.status import short_duration, status_rows
from experiments.cluster import launch
from experiments.cluster.launch import Asked, last_asked, submit_cells
from experiments.execute import execute
from experiments.mirroring import is_behind
from prefix_rft.nonfinite import Batch, save_batch
from prefix_rft.runs.lock import RunLock, is_locked
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir, Store
from slurm.testing.fake import FakeSlurm

MakeJob = Callable[..., Any]
HOURS = 3600
SHORT = {"rl": {"steps": 4, "mini_batches": 2, "questions_per_step": 6, "checkpoint_every": 2}}


class Clock:
    """The time of day of processes that are started from now on; what the kernel counts goes on evenly."""

    def __init__(self, library: Path, file: Path, patch: pytest.MonkeyPatch) -> None:
        self._file = file
        self.jump(0)
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("FAKETIME_TIMESTAMP_FILE", str(file))
        for name in (
            "FAKETIME_NO_CACHE",
            "FAKETIME_DONT_FAKE_MONOTONIC",
            "DONT_FAKE_MONOTONIC",
            "NO_FAKE_STAT",
        ):
            patch.setenv(name, "1")

    def jump(self, hours: float) -> None:
        """So many hours from the true time, from now on."""
        aside = self._file.with_suffix(".new")
        aside.write_text(f"{hours:+g}h\n")
        aside.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    if not found:
        pytest.skip("needs libfaketime: apt-get install libfaketime")
    return Clock(found[0], tmp_path / "clock", monkeypatch)


def set_back(folder: Path, hours: float) -> None:
    """Give everything below a folder a time of change so many hours from now."""
    then = time.time() + hours * HOURS
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


@pytest.mark.slow
@pytest.mark.parametrize("jumps", [(-5, 7), (9, -3)])
def test_the_clock_jumps_while_a_run_goes_on(
    make_job: MakeJob, tmp_path: Path, clock: Clock, jumps: tuple[int, int]
) -> None:
    straight = make_job(store=tmp_path / "straight")
    straight.finish_here()
    job = make_job()
    process = job.start()
    for rows, hours in zip((3, 12), jumps, strict=True):
        deadline = time.monotonic() + 60
        while job.rows_written() < rows and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        clock.jump(hours)
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0, said
    assert job.result() == straight.result()
    times = [datetime.fromisoformat(event["time"]) for event in job.run.events()]
    off = (times[-1] - datetime.now(UTC)) / timedelta(hours=1)
    assert off == pytest.approx(jumps[1], abs=0.1), "the clock really was another"
    _looks_right(job.run)


@pytest.mark.slow
def test_killed_under_one_clock_and_resumed_under_another(
    make_job: MakeJob, tmp_path: Path, clock: Clock
) -> None:
    straight = make_job(store=tmp_path / "straight")
    straight.finish_here()
    job = make_job()
    for rows, hours in ((2, 7), (9, -11), (16, 2)):
        clock.jump(hours)
        assert job.signal_after(rows, signal.SIGKILL)[0] == -signal.SIGKILL
        assert not is_locked(job.run.path), "a lock is held by a process, not until a time"
        assert job.run.state().status == "lost"
    clock.jump(0)
    assert job.finish() == (0, "")
    assert job.result() == straight.result()
    _looks_right(job.run)


def _looks_right(run: RunDir) -> None:
    store = Store(run.path.parent)
    (row,) = [row for row in status_rows(store, datetime.now(UTC)) if row.id == run.id]
    assert row.state == "done"
    assert read_run(store, run.id).damage == ""
    assert read_run(store, run.id).seconds >= 0
    assert frames(store).runs["status"].tolist() == ["done"]


def test_time_that_went_backwards_is_no_negative_work_and_no_negative_age() -> None:
    events = [("attempt", 10), ("stage", 5), ("attempt", 7), ("done", 8)]
    rows = [{"event": name, "time": f"2026-01-01T{hour:02d}:00:00+00:00"} for name, hour in events]
    assert busy_seconds(rows) == HOURS
    assert short_duration(-5 * HOURS) == "0 s"


def test_files_of_the_future_are_read_resumed_and_left_alone(make_job: MakeJob, tmp_path: Path) -> None:
    straight = make_job(store=tmp_path / "straight", optimisation=SHORT)
    straight.finish_here()
    job = make_job(optimisation=SHORT)
    job.finish_here()
    (job.run.path / "markers" / "train.json").unlink()
    newest = job.run.checkpoints()[-1].path
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    set_back(job.run.path, 10)
    job.finish_here()
    assert job.result() == straight.result()
    StateWriter(job.run.path).done()
    set_back(job.run.path, 10)
    before = {path: path.stat().st_mtime_ns for path in job.run.path.rglob("*")}
    assert execute([job.request.config]).done == {job.run.id}
    assert {path: path.stat().st_mtime_ns for path in job.run.path.rglob("*")} == before


@pytest.mark.parametrize("hours", [-10, 10])
def test_what_the_frames_keep_notices_a_change_under_another_clock(
    make_job: MakeJob, hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept when the clock was hours off, and changed since; and what is of the future is not kept."""
    job = make_job(optimisation=SHORT)
    MetricsWriter(job.run.path).append(1, "train", {"reward": 0.25})
    store = Store(job.run.path.parent)
    clock = time.time_ns() + 10**12 * (40 if hours > 0 else 0)
    monkeypatch.setattr(cache, "file_system_clock", lambda folder: folder.mkdir(exist_ok=True) or clock)
    set_back(job.run.path, hours)
    assert frames(store).curves["reward"].tolist() == [0.25]
    MetricsWriter(job.run.path).append(2, "train", {"reward": 0.75})
    set_back(job.run.path, hours)
    assert frames(store).curves["reward"].tolist() == [0.25, 0.75]
    pd.testing.assert_frame_equal(frames(store).curves, frames(store, cache=False).curves)


def test_a_mirror_of_the_future_is_made_again(make_job: MakeJob) -> None:
    """Mirrored while the clock was fast: what was written since looks older, and would never be shown."""
    job = make_job()
    MetricsWriter(job.run.path).append(1, "train", {"reward": 0.25})
    (job.run.path / "wandb").mkdir()
    (job.run.path / "wandb" / "position.json").write_text("{}")
    assert not is_behind(job.run.path)
    set_back(job.run.path / "wandb", 3)
    MetricsWriter(job.run.path).append(2, "train", {"reward": 0.5})
    assert is_behind(job.run.path)


def test_the_batch_that_was_saved_just_now_stays_though_the_clock_was_set_back(tmp_path: Path) -> None:
    batch = Batch({"row": torch.arange(2)})
    for step in range(1, 5):
        save_batch(tmp_path / "nonfinite", f"step_{step}", batch, {})
    set_back(tmp_path, 5)
    newest = save_batch(tmp_path / "nonfinite", "step_3_mini-batch_1", batch, {})
    assert newest.exists()
    assert len(list((tmp_path / "nonfinite").glob("*.safetensors"))) == 4


def test_the_newest_submission_is_the_last_one_though_the_clock_was_set_back(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "code", lambda store: store.root)
    first, second, third = (make_job(seed=seed).request.config for seed in (0, 1, 2))
    slurm = FakeSlurm()
    submit_cells([first], Asked("sandbox", sweep="main_results"), slurm)
    requests = Path(first.store) / "slurm" / "requests"
    (early,) = requests.glob("aggregate-*.json")
    tomorrow = f"aggregate-{datetime.now(UTC) + timedelta(hours=9):%Y%m%d-%H%M%S-%f}.json"
    early.rename(requests / tomorrow)
    for sweep, config in (("schedule", second), ("entropy", third)):
        submit_cells([config], Asked("sandbox", sweep=sweep), slurm)
        assert last_asked(Store(first.store)).sweep == sweep


def test_a_lock_says_since_when_and_holds_whatever_the_time_is(tmp_path: Path) -> None:
    with RunLock(tmp_path) as held:
        set_back(tmp_path, 1000)
        assert is_locked(tmp_path)
        held.check()
        set_back(tmp_path, -1000)
        assert is_locked(tmp_path)
        held.check()
        assert json.loads((tmp_path / "run.lock").read_text())["since"].startswith("20")
