"""Worker processes: how one is started, and in words why it ended."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Protocol

from experiments.plan import Task
from experiments.worker import FAILED, INTERRUPTED, LESS_MEMORY, Request, log_path
from prefix_rft.runs.store import RunDir

LOST = 77
"""Stands for the exit code of a run whose end nobody saw."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
    "MALLOC_ARENA_MAX": "2",
}
"""glibc gives freed blocks above a threshold back to the kernel at once; a training step allocates the same blocks
again and again, so the thresholds are raised, which changes speed only."""


class Worker(Protocol):
    """One run's process."""

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""


class Nursery:
    """Starts runs, each a process of its own, forked from one that has imported PyTorch (`experiments.nursery`).

    They get sessions of their own: Ctrl-C reaches the launcher alone, which then asks each to leave.
    """

    def __init__(self, threads: int) -> None:
        """Start nothing yet.

        Args:
            threads: of each run.
        """
        self._environment = environment(threads)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._live: set[int] = set()
        self._ended: dict[int, int] = {}
        self._heard = b""

    def start(self, run: RunDir, task: Task) -> Worker:
        """Start one run's process."""
        self._listen()
        number = next(self._numbers)
        command = tuple(sys.orig_argv)
        request = Request(run.id, task.run.parent_id, task.config, task.asked, command=command)
        self._say("start", number, str(log_path(run)), request.to_dict())
        self._live.add(number)
        return _Forked(self, number)

    def poll(self, number: int) -> int | None:
        """Exit code of the run that was started as this number; None while it runs."""
        self._listen()
        return self._ended.get(number)

    def send_signal(self, number: int, what: int) -> None:
        """Send a signal to the run that was started as this number, unless it has ended."""
        if self.poll(number) is None:
            self._say("signal", number, what)

    def close(self) -> None:
        """End the process that forks, and with it what still runs."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _say(self, *message: Any) -> None:
        if self._process is None:
            self._process = self._begin()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def _begin(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        return process

    def _listen(self) -> None:
        while self._process is not None:
            assert self._process.stdout is not None
            try:
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
            except BlockingIOError:
                return
            if not chunk:
                self._lose()
                return
            *lines, self._heard = (self._heard + chunk).split(b"\n")
            self._end(dict(map(json.loads, lines)))

    def _lose(self) -> None:
        """The process that forks is gone: so are its runs, and the next is started by another one."""
        assert self._process is not None
        self._process.wait()
        self._process, self._heard = None, b""
        self._end(dict.fromkeys(self._live, LOST))

    def _end(self, codes: dict[int, int]) -> None:
        self._ended |= codes
        self._live -= codes.keys()


@dataclass(frozen=True)
class _Forked:
    nursery: Nursery
    number: int

    def poll(self) -> int | None:
        return self.nursery.poll(self.number)

    def send_signal(self, number: int) -> None:
        self.nursery.send_signal(self.number, number)


def why_it_ended(run: RunDir, code: int) -> str:
    """Why a worker ended with this exit code (negative: a signal), and where its log is."""
    log = f"(log: {log_path(run)})"
    if code == -signal.SIGKILL:
        return (
            f"killed by SIGKILL; the same command resumes it {log}. Where memory had run out: {LESS_MEMORY}"
        )
    if code < 0:
        return f"killed by {signal.Signals(-code).name}; the same command resumes it {log}"
    if code == LOST:
        return f"the process that starts runs ended, and this one with it; the same command resumes it {log}"
    if code == INTERRUPTED:
        return f"stopped by a signal after it saved its work; the same command resumes it {log}"
    error = run.state().error
    if code == FAILED and error is not None:
        return f"{error.type}: {(error.message.splitlines() or [''])[0]} {log}"
    return f"ended with exit code {code} {log}"


def environment(threads: int) -> dict[str, str]:
    """This process's environment with the run's number of threads; what it says of memory itself holds."""
    return {**_MALLOC, **os.environ, **_threads(threads)}


def tuning(threads: int) -> dict[str, str]:
    """What a run's process needs in its environment, wherever it starts."""
    return {**_MALLOC, **_threads(threads)}


def _threads(threads: int) -> dict[str, str]:
    return {name: str(threads) for name in _THREAD_VARIABLES}
