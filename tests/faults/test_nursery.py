"""The process that forks the runs: their exit codes come through it, and its death loses nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from experiments.plan import Task, plan
from experiments.processes import LOST, Nursery, Worker, why_it_ended
from experiments.worker import INTERRUPTED, LOCKED
from prefix_rft.runs.lock import RunLock, is_locked

PATIENCE_SECONDS = 60.0


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery(threads=1)
    yield nursery
    nursery.close()


def wait(until: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := until()) is None or found is False:
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s"
        time.sleep(0.005)
    return found


def training(nursery: Nursery, job: Any) -> Worker:
    """The job's worker, once it has written rows of its own."""
    before = job.rows_written()
    worker = nursery.start(job.run, task(job))
    wait(lambda: job.rows_written() > before or worker.poll() is not None)
    return worker


def task(job: Any) -> Task:
    return plan([job.request.config]).tasks[-1]


def test_a_run_is_stopped_resumed_and_refused_by_its_own_code(
    nursery: Nursery, make_job: Callable[..., Any]
) -> None:
    job = make_job()
    worker = training(nursery, job)
    worker.send_signal(signal.SIGTERM)
    assert wait(worker.poll) == INTERRUPTED
    with RunLock(job.run.path):
        assert wait(nursery.start(job.run, task(job)).poll) == LOCKED
    worker = nursery.start(job.run, task(job))
    assert wait(worker.poll) == 0
    worker.send_signal(signal.SIGTERM)
    assert worker.poll() == 0
    assert job.run.state().attempt == 2


def test_a_killed_run_is_alone(nursery: Nursery, make_job: Callable[..., Any]) -> None:
    first, second = make_job(seed=1), make_job(seed=2)
    other, worker = nursery.start(first.run, task(first)), training(nursery, second)
    os.kill(second.run.state().pid, signal.SIGKILL)
    assert wait(worker.poll) == -signal.SIGKILL
    assert wait(other.poll) == 0


def test_without_the_process_that_forks_runs_save_and_leave(
    nursery: Nursery, make_job: Callable[..., Any]
) -> None:
    job = make_job()
    worker = training(nursery, job)
    assert nursery._process is not None
    os.kill(nursery._process.pid, signal.SIGKILL)
    assert wait(worker.poll) == LOST
    assert "the same command resumes it" in why_it_ended(job.run, LOST)
    wait(lambda: not is_locked(job.run.path))
    assert job.run.state().status == "queued"
    assert wait(nursery.start(job.run, task(job)).poll) == 0
