"""What a training process cannot use or cannot write: a clear error, a state that shows it, nothing lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.worker import FAILED, LOCKED
from prefix_rft.errors import RunError
from prefix_rft.runs.checkpoint import list_checkpoints, verify
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.state import StateWriter

MakeJob = Callable[..., Any]
SHORT = {
    "rl": {
        "steps": 6,
        "mini_batches": 2,
        "questions_per_step": 6,
        "learning_rate": 1e-2,
        "checkpoint_every": 1,
    }
}


def test_a_run_that_a_live_process_holds_is_left_alone(make_job: MakeJob) -> None:
    job = make_job()
    with RunLock(job.run.path):
        before = _files(job.run.path)
        code, said = job.finish()
        assert _files(job.run.path) == before
    assert code == LOCKED
    assert f"run {job.run.id} is being worked on by process {os.getpid()}" in said
    assert "Wait until it ends, or stop that process" in said
    assert job.rows_written() == 0


def test_a_damaged_checkpoint_fails_the_run_and_deleting_it_mends_it(
    make_job: MakeJob, tmp_path: Path
) -> None:
    straight, job = make_job(store=tmp_path / "straight", optimisation=SHORT), make_job(optimisation=SHORT)
    straight.finish_here()
    job.finish_here()
    newest = job.run.checkpoints()[-1].path
    (newest / "model.safetensors").write_bytes(b"half")
    code, said = job.finish()
    assert code == FAILED
    assert "CheckpointError" in said
    state = job.run.state()
    assert (state.status, state.error.type) == ("failed", "CheckpointError")
    assert f"{newest} is damaged: model.safetensors is 4 bytes long" in state.error.message
    assert "Delete that folder" in state.error.message
    shutil.rmtree(newest)
    job.finish_here()
    assert job.result() == straight.result()


@pytest.mark.parametrize("room", [0, 24 << 10])
def test_a_disk_that_fills_up_loses_no_checkpoint_and_the_run_goes_on_with_room(
    make_job: MakeJob, tmp_path: Path, small_disk: Path, room: int
) -> None:
    """Full to the last page before step 4; or with room for a part of its checkpoint."""
    straight = make_job(store=tmp_path / "straight", optimisation=SHORT)
    straight.finish_here()
    job = make_job(store=small_disk / "runs", optimisation=SHORT)

    class Filling(StateWriter):
        def progress(self, step: int, total_steps: int | None = None) -> None:
            super().progress(step, total_steps)
            if step == 3:
                _fill(small_disk, room)

    with pytest.raises(
        RunError, match=r"cannot write .*No space left on device.*still there\. Free some space"
    ):
        job.finish_here(Filling(job.run.path))
    kept = list_checkpoints(job.run.path)
    assert [checkpoint.step for checkpoint in kept] == [2, 3]
    for checkpoint in kept:
        verify(checkpoint)
    (small_disk / "filler").unlink()
    job.finish_here()
    assert job.result() == straight.result()


def test_a_full_disk_is_named_by_the_training_process(make_job: MakeJob, small_disk: Path) -> None:
    job = make_job(store=small_disk / "runs", optimisation=SHORT)
    _fill(small_disk, 0)
    code, said = job.finish()
    assert code == FAILED
    assert f"cannot write {job.run.path}" in said
    assert "No space left on device" in said
    (small_disk / "filler").unlink()
    job.finish_here()
    assert job.run.checkpoints()[-1].step == 6


def _fill(disk: Path, room: int) -> None:
    """Leave so many bytes free."""
    with (disk / "filler").open("wb") as file:
        file.write(b"x" * (shutil.disk_usage(disk).free - room))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
