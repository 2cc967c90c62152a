"""Worker processes that answer requests under a wall-clock and a memory limit, one request at a time each.

A worker that hangs, fills its memory or dies costs the answer it was working on, never the caller: it is
killed and replaced, and the outcome says which of these it was. A worker's own start-up is not part of a
request's time.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Literal, Self

from prefix_rft.errors import GradingError
from prefix_rft.grading.process import STARTUP_SECONDS, Worker

Request = tuple[str, ...]
Ending = Literal["ok", "timeout", "out_of_memory", "crashed", "error"]

_STARTUP_ATTEMPTS = 3
_ATTEMPTS = 2
_ATTEMPTS_WHEN_KILLED = 5
"""A worker's own memory limit ends it otherwise: SIGKILL comes from a person, or from a kernel short of memory."""


@dataclass(frozen=True)
class Outcome:
    """How a request ended; `value` is the function's result for `ok`, and the message for `error`."""

    ending: Ending
    value: object = None


class Pool:
    """A fixed number of workers, started when first needed; safe to share between threads.

    A worker that dies or runs out of memory may have been worn out by earlier requests, or killed from
    outside. Such a request is tried once more (after a SIGKILL up to four times), so that its outcome does not
    depend on what was asked before it. A request past its time limit is not.
    """

    def __init__(self, entry: str, *, workers: int, timeout_seconds: float, memory_mb: int) -> None:
        """Make a pool without starting a process.

        Args:
            entry: "module:function" that answers a request; it gets the request's parts as arguments.
            workers: Most processes at a time.
            timeout_seconds: Wall-clock limit of one request.
            memory_mb: Address space of one worker, MiB.
        """
        self.restarts = 0
        self._entry = entry
        self._size = workers
        self._timeout = timeout_seconds
        self._memory_mb = memory_mb
        self._workers: list[Worker] = []
        self._failed_starts = 0
        self._closed = False
        self._lock = threading.Lock()
        self._owner = os.getpid()
        # The kernel ends a worker together with the thread that started it: a caller's thread may not last.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="grading-starter")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that are held now."""
        return [worker.process.pid for worker in self._workers]

    def map(
        self, requests: Sequence[Request], progress: Callable[[int], None] | None = None
    ) -> list[Outcome]:
        """Outcomes in the order of the requests, whichever worker answered which.

        Args:
            requests: What to ask; they go to the workers one by one, so that a slow one holds up no other.
            progress: Called with the number of outcomes so far, whenever there are more.

        Raises:
            GradingError: the pool is closed, or workers cannot be started.
        """
        with self._lock:
            self._refuse_if_unusable()
            job = _Job.of(requests)
            try:
                while len(job.outcomes) < len(requests):
                    self._hire(min(self._size, len(requests) - len(job.outcomes)))
                    self._assign(job)
                    self._listen(job)
                    if progress is not None:
                        progress(len(job.outcomes))
            except (
                BaseException
            ):  # an interrupt as well: an answer that is still under way must not meet a later request
                self._dismiss_all()
                raise
            return [job.outcomes[index] for index in range(len(requests))]

    def start(self) -> None:
        """Start all workers now and wait until they are ready, instead of at the first request."""
        with self._lock:
            self._refuse_if_unusable()
            try:
                self._hire(self._size)
                while not all(worker.ready for worker in self._workers):
                    self._listen(_Job.of([]))
                    self._hire(self._size)
            except BaseException:
                self._dismiss_all()
                raise

    def close(self) -> None:
        """End all workers; a second call, or one from a forked process, does nothing."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            self._closed = True
            self._dismiss_all()
        self._starter.shutdown()

    def _refuse_if_unusable(self) -> None:
        if self._closed:
            raise GradingError("the grading pool is closed; make a new grader to grade more responses.")
        if os.getpid() != self._owner:
            raise GradingError(
                "the grading pool belongs to the process that forked this one; make a grader here."
            )

    def _hire(self, wanted: int) -> None:
        while len(self._workers) < wanted:
            self._workers.append(self._starter.submit(Worker.start, self._entry, self._memory_mb).result())

    def _assign(self, job: _Job) -> None:
        for worker in list(self._workers):
            if worker.ready and worker.index is None and job.waiting:
                try:
                    worker.connection.send(job.requests[job.waiting[0]])
                except OSError:  # died while idle: nothing was lost
                    self._replace(worker)
                    continue
                worker.index = job.waiting.popleft()
                worker.deadline = time.monotonic() + self._timeout

    def _listen(self, job: _Job) -> None:
        """Wait for the next message, death or deadline, and deal with all that have come."""
        deadline = min((worker.deadline for worker in self._workers), default=time.monotonic())
        remaining = max(0.0, deadline - time.monotonic())
        heard = connection.wait([worker.connection for worker in self._workers], timeout=remaining)
        for worker in list(self._workers):
            if worker.connection in heard:
                self._receive(worker, job)
            elif time.monotonic() >= worker.deadline:
                self._give_up(worker, job)

    def _receive(self, worker: Worker, job: _Job) -> None:
        attempts = _ATTEMPTS
        try:
            ending, value = worker.connection.recv()
        except (EOFError, OSError):
            ending, value = "crashed", None
            attempts = _ATTEMPTS_WHEN_KILLED if worker.was_killed() else _ATTEMPTS
        if not worker.ready:
            self._started(worker, ending, value)
            return
        index, worker.index, worker.deadline = worker.index, None, float("inf")
        if ending in ("crashed", "out_of_memory"):
            self._replace(worker)
        if index is not None:
            job.conclude(index, Outcome(ending, value), attempts)

    def _started(self, worker: Worker, ending: str, value: object) -> None:
        if ending == "ready":
            worker.ready, worker.deadline = True, float("inf")
            self._failed_starts = 0
            return
        reason = str(value) if ending == "failed" else f"it ended by itself: {worker.last_words()}"
        self._refuse_start(worker, reason)

    def _refuse_start(self, worker: Worker, reason: str) -> None:
        self._replace(worker)
        self._failed_starts += 1
        if self._failed_starts >= _STARTUP_ATTEMPTS:
            raise GradingError(
                f"a grading worker cannot start ({_STARTUP_ATTEMPTS} attempts): {reason} "
                f"Its limits: memory_mb={self._memory_mb}, {STARTUP_SECONDS:.0f} s to start."
            )

    def _give_up(self, worker: Worker, job: _Job) -> None:
        if not worker.ready:
            self._refuse_start(worker, "it was not ready in time.")
            return
        self._replace(worker)
        if worker.index is not None:
            job.outcomes[worker.index] = Outcome("timeout")

    def _replace(self, worker: Worker) -> None:
        """End a worker; `_hire` starts another when one is needed."""
        self.restarts += 1
        self._workers.remove(worker)
        worker.end()

    def _dismiss_all(self) -> None:
        while self._workers:
            self._workers.pop().end()


@dataclass
class _Job:
    """The requests of one call of `map`, by index: what waits, how often each was tried, what came out."""

    requests: Sequence[Request]
    waiting: deque[int]
    tries: list[int]
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    @classmethod
    def of(cls, requests: Sequence[Request]) -> _Job:
        return cls(requests, waiting=deque(range(len(requests))), tries=[0] * len(requests))

    def conclude(self, index: int, outcome: Outcome, attempts: int) -> None:
        self.tries[index] += 1
        if outcome.ending in ("crashed", "out_of_memory") and self.tries[index] < attempts:
            self.waiting.appendleft(index)
        else:
            self.outcomes[index] = outcome
