"""Worker processes: how one is started, and in words why it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from experiments.plan import Task
from experiments.worker import FAILED, INTERRUPTED, Request, log_path
from prefix_rft.runs.store import RunDir

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def start_worker(run: RunDir, task: Task, threads: int) -> subprocess.Popen[bytes]:
    """Start one run's process.

    It gets a session of its own: Ctrl-C reaches the launcher alone, which then asks each worker to leave.
    """
    request = Request(run.id, task.run.parent_id, task.config, task.asked, os.getpid())
    with log_path(run).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.worker"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(threads),
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(request.to_json())
    process.stdin.close()
    return process


def why_it_ended(run: RunDir, code: int) -> str:
    """Why a worker ended with this exit code (negative: a signal), and where its log is."""
    log = f"(log: {log_path(run)})"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}; the same command resumes it {log}"
    if code == INTERRUPTED:
        return f"stopped by a signal after it saved its work; the same command resumes it {log}"
    error = run.state().error
    if code == FAILED and error is not None:
        return f"{error.type}: {(error.message.splitlines() or [''])[0]} {log}"
    return f"ended with exit code {code} {log}"


def _environment(threads: int) -> dict[str, str]:
    """This process's environment with the run's number of threads.

    glibc gives freed blocks above a threshold back to the kernel at once; a training step allocates the same blocks
    again and again, so the thresholds are raised, which changes speed only.
    """
    fixed = {name: str(threads) for name in _THREAD_VARIABLES}
    malloc = {
        "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
        "MALLOC_ARENA_MAX": "2",
    }
    return {**malloc, **os.environ, **fixed}
