"""Disks that are full, have no inode left, or may only be read: each says so, and goes on alike with room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analysis.results import frames
from experiments import evaluating
from experiments.cluster import launch
from experiments.cluster.launch import Asked, submit_cells
from experiments.execute import execute
from experiments.exits import REFUSED, exits
from experiments.worker import FAILED
from prefix_rft.errors import RunError
from prefix_rft.runs.checkpoint import list_checkpoints, verify
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import Store
from prefix_rft.stop import StopFlag
from slurm.book import Book
from slurm.errors import SubmissionError
from slurm.testing.fake import FakeSlurm

MakeJob = Callable[..., Any]
SHORT = {"rl": {"steps": 6, "mini_batches": 2, "questions_per_step": 6, "checkpoint_every": 1}}
FULL = r"No space left on device"


@dataclass(frozen=True)
class Disk:
    """A file system of its own."""

    path: Path

    def remount(self, *options: str) -> None:
        subprocess.run(["mount", "-o", ",".join(("remount", *options)), str(self.path)], check=True)

    def fill(self) -> None:
        """To the last byte."""
        with (self.path / "filler").open("wb") as file:
            file.write(b"x" * shutil.disk_usage(self.path).free)

    def use_up_files(self) -> None:
        """Empty files until there is room for no other, whatever its size."""
        for number in range(os.statvfs(self.path).f_favail):
            (self.path / f"filler{number}").touch()

    def clear(self) -> None:
        for filler in self.path.glob("filler*"):
            filler.unlink()


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[..., Disk]]:
    """Mounts a small tmpfs with these options; skips where this user may not."""
    mounted: list[Path] = []

    def mount(**options: str) -> Disk:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        said = ",".join(f"{name}={value}" for name, value in options.items())
        command = ["mount", "-t", "tmpfs", "-o", said, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small tmpfs needs root")
        mounted.append(folder)
        return Disk(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


class Then(StateWriter):
    """Does something once, after a step."""

    def __init__(self, run_path: Path, step: int, act: Callable[[], None]) -> None:
        super().__init__(run_path)
        self._at, self._acts = step, [act]

    def progress(self, step: int, total_steps: int | None = None) -> None:
        super().progress(step, total_steps)
        if step == self._at and self._acts:
            self._acts.pop()()


def test_no_inode_left_is_said_and_loses_no_checkpoint(
    make_job: MakeJob, tmp_path: Path, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(size="8m", nr_inodes="80")
    straight = make_job(store=tmp_path / "straight", optimisation=SHORT)
    straight.finish_here()
    job = make_job(store=disk.path / "runs", optimisation=SHORT)
    with pytest.raises(
        RunError, match=rf"{FULL} \([\d.]+ of 8 MiB free there, but it holds all the 80 files"
    ):
        job.finish_here(Then(job.run.path, 3, disk.use_up_files))
    assert [checkpoint.step for checkpoint in list_checkpoints(job.run.path)] == [2, 3]
    disk.clear()
    job.finish_here()
    assert job.result() == straight.result()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sampling", "grading"])
def test_an_evaluation_on_a_full_disk_keeps_its_samples_and_goes_on(
    make_job: MakeJob, tmp_path: Path, make_disk: Callable[..., Disk], stage: str
) -> None:
    disk = make_disk(size="2m")
    straight = _with_evaluation(make_job, tmp_path / "straight")
    job = _with_evaluation(make_job, disk.path / "runs")
    _evaluate(straight)
    act = Then(job.run.path, 2 if stage == "sampling" else 4, disk.fill)
    with pytest.raises(RunError, match=rf"cannot write .*/eval/test/.*{FULL}.*Free some space"):
        _evaluate(job, act)
    kept = list(job.run.path.glob("eval/*/*/samples.parts/part-*"))
    assert kept
    before = {path: path.read_bytes() for path in kept}
    with pytest.raises(RunError, match=FULL):
        _evaluate(job)
    assert {path: path.read_bytes() for path in kept} == before
    disk.clear()
    _evaluate(job)
    names = ("samples.parquet", "verdicts.parquet", "protocol.json", "scores.json")
    (one,), (other,) = (list(done.run.path.glob("eval/test/*")) for done in (job, straight))
    assert [(one / name).read_bytes() for name in names] == [(other / name).read_bytes() for name in names]


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_sweep_is_planned_on_a_disk_that_takes_nothing(
    make_job: MakeJob,
    make_disk: Callable[..., Disk],
    how: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    disk = make_disk(size="256k")
    configs = [
        make_job(seed=seed).request.config.model_copy(update={"store": str(disk.path / "runs")})
        for seed in (0, 1)
    ]
    (disk.path / "runs").mkdir()
    _refuse(disk, how)
    report = execute(configs)
    assert len(report.failures) == 2
    for why in report.failures.values():
        assert why.startswith(f"RunError: cannot write {disk.path}/runs/")
        assert ("No space left" if how == "full" else "Make that folder writable") in why
    monkeypatch.setattr(launch, "code", lambda store: store.root)
    with pytest.raises(SystemExit), exits():
        submit_cells(configs, Asked("sandbox"), FakeSlurm())
    assert f"error: cannot write {disk.path}/runs" in capsys.readouterr().err
    disk.remount("rw")
    disk.clear()
    assert Store(disk.path / "runs").runs() == []
    assert Book(disk.path / "runs").entries() == []


def test_a_job_that_cannot_be_put_on_record_is_not_submitted(
    make_job: MakeJob, make_disk: Callable[..., Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for the array's folder, none for a line in the book."""
    disk, slurm = make_disk(size="256k"), FakeSlurm()
    config = make_job().request.config.model_copy(update={"store": str(disk.path / "runs")})
    monkeypatch.setattr(launch, "code", lambda store: store.root)
    add = Book._add

    def on_a_full_disk(book: Book, line: bytes) -> None:
        disk.fill()
        book.path.write_bytes(book.path.read_bytes() if book.path.exists() else b"")
        add(book, line + b" " * 8192)

    with monkeypatch.context() as patch:
        patch.setattr(Book, "_add", on_a_full_disk)
        with pytest.raises(
            SubmissionError, match=rf"cannot write .*arrays\.jsonl: {FULL}.*same command again"
        ):
            submit_cells([config], Asked("sandbox"), slurm)
    assert slurm.scripts == []
    disk.clear()
    assert len(submit_cells([config], Asked("sandbox"), slurm).outcome.submitted) == 2


@pytest.mark.slow
def test_a_run_on_a_disk_that_may_only_be_read_says_so_and_changes_nothing(
    make_job: MakeJob, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(size="4m")
    job = make_job(store=disk.path / "runs", optimisation=SHORT)
    disk.remount("ro")
    code, said = job.finish()
    assert code == FAILED
    assert f"RunError: cannot write {job.run.path / 'run.lock'}: Read-only file system" in said
    assert (
        "Make that folder writable for you (or set store=<a folder elsewhere>), then give the same command again"
        in said
    )
    (why,) = execute([job.request.config]).failures.values()
    assert why.startswith(f"RunError: cannot write {job.run.path / 'run.log'}: Read-only file system")
    disk.remount("rw")
    job.finish_here()
    verify(job.run.checkpoints()[-1])


def test_a_folder_becomes_read_only_while_a_run_trains(
    make_job: MakeJob, tmp_path: Path, make_disk: Callable[..., Disk]
) -> None:
    """As where a disk fails: by a mount of its own, since the kernel refuses it for one that is being written."""
    disk = make_disk(size="4m")
    straight = make_job(store=tmp_path / "straight", optimisation=SHORT)
    straight.finish_here()
    job = make_job(store=disk.path / "runs", optimisation=SHORT)
    folder = str(job.run.path / "checkpoints")

    def fail() -> None:
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)

    with pytest.raises(
        RunError, match=r"cannot write .*step_4: Read-only file system .*Make that folder writable"
    ):
        job.finish_here(Then(job.run.path, 3, fail))
    subprocess.run(["umount", folder], check=True)
    job.finish_here()
    assert job.result() == straight.result()


def test_what_is_done_is_read_where_nothing_can_be_written(
    make_job: MakeJob, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(size="4m")
    job = make_job(store=disk.path / "runs", optimisation=SHORT)
    job.finish_here()
    StateWriter(job.run.path).done()
    disk.remount("ro")
    assert execute([job.request.config]).done == {job.run.id}
    with pytest.warns(RuntimeWarning, match=r"cannot keep in .*Read-only file system"):
        assert frames(Store(disk.path / "runs")).runs["status"].tolist() == ["done"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_report_on_a_disk_that_takes_nothing_names_it(
    make_job: MakeJob, make_disk: Callable[..., Disk], how: str, tmp_path: Path
) -> None:
    disk = make_disk(size="128k")
    _refuse(disk, how)
    command = [
        sys.executable,
        "-m",
        "experiments.cli",
        "report",
        "main_results",
        f"store={tmp_path / 'runs'}",
    ]
    done = subprocess.run(
        [*command, "--out", str(disk.path / "report")], capture_output=True, text=True, cwd=tmp_path
    )
    print(done.stdout, done.stderr)
    assert done.returncode == REFUSED
    assert "Traceback" not in done.stderr
    assert str(disk.path / "report") in done.stderr


def _refuse(disk: Disk, how: str) -> None:
    disk.fill() if how == "full" else disk.remount("ro")


def _with_evaluation(make_job: MakeJob, store: Path) -> Any:
    data = make_job().request.config.data.model_dump(mode="json") | {"test_questions": 4}
    job = make_job(
        store=store,
        data=data,
        optimisation=SHORT,
        evaluation={"splits": ["test"], "samples": 4, "pass_at": [1]},
        backend={"kind": "local", "generation_batch": 4},
    )
    job.finish_here()
    return job


def _evaluate(job: Any, state: StateWriter | None = None) -> None:
    with RunLock(job.run.path):
        evaluating.evaluate(job.run, job.request.config, state or StateWriter(job.run.path), StopFlag())
