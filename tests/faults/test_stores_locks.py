"""Locks that are lost while they are held: two workers never write into one run, and the loser says so."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import stages, worker
from prefix_rft.errors import LockLostError
from prefix_rft.runs import lock
from prefix_rft.runs.checkpoint import list_checkpoints, save_checkpoint
from prefix_rft.runs.lock import LOCK_FILE, RunLock, holder, is_locked
from prefix_rft.runs.markers import TRAIN
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir

MakeJob = Callable[..., Any]
SHORT = {"rl": {"steps": 6, "mini_batches": 2, "questions_per_step": 6, "checkpoint_every": 2}}
OTHER = json.dumps({"pid": 4711, "host": "n17", "since": "2026-01-01T00:00:00+00:00"})


def remove(path: Path) -> None:
    path.unlink()


def take_over(path: Path) -> None:
    """As another machine does whose server has forgotten our lock."""
    path.write_text(OTHER)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_PATIENCE_SECONDS", 0.05)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("lose", "said"), [(remove, "removed"), (take_over, "taken over by process 4711 on n17")]
)
def test_a_holder_that_has_lost_its_lock_writes_nothing_more(
    tmp_path: Path, lose: Callable[[Path], None], said: str
) -> None:
    run = tmp_path / "0123456789ab"
    run.mkdir()
    state, metrics = StateWriter(run, progress_seconds=0), MetricsWriter(run)
    with RunLock(run):
        state.attempt()
        metrics.append(1, "train", {"reward": 0.5})
        save_checkpoint(run, 1, _weights, keep=2)
        lose(run / LOCK_FILE)
        before = files(run)
        writes: dict[str, Callable[[], object]] = {
            "progress": lambda: state.progress(2),
            "failed": lambda: state.failed(ValueError("x")),
            "append": lambda: metrics.append(2, "train", {}),
            "truncate": lambda: metrics.truncate_after(0),
            "save": lambda: save_checkpoint(run, 2, _weights, keep=1),
            "done": lambda: RunDir(run).stages.mark_done(TRAIN, step=1),
        }
        for name, write in writes.items():
            with pytest.raises(
                LockLostError, match=rf"0123456789ab: its lock .*run\.lock was {said} .*same command"
            ):
                write()
            assert files(run) == before, name


@pytest.mark.usefixtures("impatient")
def test_a_lock_lost_while_a_checkpoint_is_written_leaves_none(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        _weights(folder)
        (tmp_path / LOCK_FILE).unlink()

    with RunLock(tmp_path), pytest.raises(LockLostError):
        save_checkpoint(tmp_path, 1, write, keep=1)
    assert list_checkpoints(tmp_path) == []


@pytest.mark.usefixtures("impatient")
def test_half_written_files_that_the_new_holder_clears_away_are_no_disk_trouble(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        take_over(tmp_path / LOCK_FILE)
        folder.rmdir()
        _weights(folder)

    with RunLock(tmp_path), pytest.raises(LockLostError, match="taken over"):
        save_checkpoint(tmp_path, 1, write, keep=1)


@pytest.mark.usefixtures("impatient")
def test_a_file_removed_before_it_is_locked_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = lock._take

    def removed_first(descriptor: int) -> bool:
        (tmp_path / LOCK_FILE).unlink()
        return take(descriptor)

    monkeypatch.setattr(lock, "_take", removed_first)
    with pytest.raises(LockLostError):
        RunLock(tmp_path).acquire()
    monkeypatch.undo()
    with RunLock(tmp_path):
        assert is_locked(tmp_path)


def test_a_lock_that_is_not_seen_for_a_moment_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, unseen = lock._content, iter([None, None, None])
    with RunLock(tmp_path) as held:
        monkeypatch.setattr(lock, "_content", lambda path: next(unseen, content(path)))
        held.check()
    assert next(unseen, "all were asked for") == "all were asked for"


@pytest.mark.usefixtures("impatient")
def test_the_loser_leaves_the_runs_state_to_the_winner(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = make_job(optimisation=SHORT)
    states: list[bytes] = []

    def train(run: RunDir, *asked: object) -> None:
        take_over(run.path / LOCK_FILE)
        states.append((run.path / "state.json").read_bytes())
        StateWriter(run.path).progress(1)

    monkeypatch.setattr(stages, "train", train)
    assert worker.work_on(job.request) == worker.LOCKED
    assert (job.run.path / "state.json").read_bytes() == states[0]
    assert "taken over by process 4711 on n17" in capsys.readouterr().err


@pytest.mark.slow
def test_two_workers_on_one_run_whose_lock_was_removed_never_mix(make_job: MakeJob, tmp_path: Path) -> None:
    """The second starts from the checkpoint and ends alike; the first notices at its next step, and says so."""
    straight = make_job(store=tmp_path / "straight")
    straight.finish_here()
    job = make_job()
    seconds = []

    class Robbed(StateWriter):
        def progress(self, step: int, total_steps: int | None = None) -> None:
            super().progress(step, total_steps)
            if step == 8:
                (self.run_path / LOCK_FILE).unlink()
                seconds.append(job.start())
                _wait(lambda: getattr(holder(self.run_path), "pid", 0) == seconds[0].pid)

    with pytest.raises(LockLostError, match=rf"taken over by process \d+ on {os.uname().nodename}"):
        job.finish_here(Robbed(job.run.path))
    assert seconds[0].wait(60) == 0, seconds[0].stderr.read()
    seconds[0].stderr.close()
    assert job.result() == straight.result()
    assert job.run.state().status == "done"


def _weights(folder: Path) -> None:
    (folder / "w").write_text("w")


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
