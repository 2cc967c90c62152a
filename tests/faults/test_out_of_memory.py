"""Memory that is refused to a run, or that the kernel takes it for: the other cells go on, and the message names it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from experiments import processes
from experiments.execute import execute
from experiments.exits import CellsFailedError
from experiments.worker import LESS_MEMORY, _of_memory
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.local.initial import write_random_model
from prefix_rft.settings import Architecture

MakeJob = Callable[..., Any]
SHORT = {"rl": {"steps": 3, "mini_batches": 2, "questions_per_step": 6, "checkpoint_every": 1}}
LIMIT = 300 << 20
"""Bytes of a process's own data: half as much again as the small model's run needs."""


@pytest.fixture
def wide_model(tmp_path: Path) -> Path:
    """A model of 20 MB: with gradients, moments and activations it needs 400."""
    folder, encoder = tmp_path / "wide", ChainEncoder(4)
    shape = Architecture(hidden_size=16, layers=1, heads=2, key_value_heads=2, intermediate_size=100_000)
    ids = {"eos_id": encoder.eos_id, "pad_id": encoder.pad_id}
    write_random_model(folder, shape, vocabulary=encoder.vocabulary_size, seed=0, **ids)
    encoder.save(folder)
    return folder


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))


@pytest.mark.slow
def test_a_cell_that_is_refused_memory_stops_no_other(
    make_job: MakeJob, wide_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes.subprocess, "Popen", partial(subprocess.Popen, preexec_fn=limit))
    small = make_job(optimisation=SHORT, launcher={"workers": 1})
    wide = make_job(
        optimisation=SHORT, launcher={"workers": 1}, model={"kind": "pretrained", "path": str(wide_model)}
    )
    report = execute([wide.request.config, small.request.config])
    assert report.done == {small.run.id}
    with pytest.raises(CellsFailedError, match=r"1 of 2 runs failed") as caught:
        report.raise_for_failures()
    assert f"{wide.run.id}: OutOfMemoryError: memory was refused (" in str(caught.value)
    assert LESS_MEMORY in str(caught.value)
    assert wide.run.state().error.type == "OutOfMemoryError"
    assert "allocate memory" in (wide.run.path / "run.log").read_text()
    monkeypatch.undo()
    assert execute([wide.request.config]).done == {wide.run.id}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried to"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_every_way_of_saying_it_is_known(error: Exception) -> None:
    found = _of_memory(error)
    assert found is not None
    assert "memory was refused (" in str(found)
    assert LESS_MEMORY in str(found)


def test_other_errors_stay_what_they_are() -> None:
    assert _of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


@pytest.mark.slow
def test_a_cell_that_the_kernel_kills_stops_no_other_and_is_resumed(make_job: MakeJob) -> None:
    """The kernel sends SIGKILL when memory runs out; here the test does, once there is a checkpoint."""
    straight, job = make_job(seed=1, launcher={"workers": 1}), make_job(seed=2, launcher={"workers": 1})
    doomed = _killed_after(job, checkpoints=1)
    report = execute([job.request.config, straight.request.config])
    doomed.join()
    assert report.done == {straight.run.id}
    why = report.failures[job.run.id]
    assert why.startswith("killed by SIGKILL; the same command resumes it (log: ")
    assert why.endswith(LESS_MEMORY)
    assert execute([job.request.config]).done == {job.run.id}
    assert job.run.state().attempt == 2


def _killed_after(job: Any, checkpoints: int) -> threading.Thread:
    def kill() -> None:
        while len(job.run.checkpoints()) < checkpoints:
            time.sleep(0.005)
        os.kill(job.run.state().pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread
