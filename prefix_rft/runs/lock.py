"""One live process a run: a lock that the kernel gives back however its holder dies.

The lock is `flock(2)` on `run.lock`. It holds between the processes of one machine. Across machines it holds
on NFS (Linux sends it to the server as a byte-range lock, which needs the server's lock service) and on
Lustre mounted with `flock`; on Lustre mounted with `localflock`, or NFS mounted with `local_lock=flock`, each
machine sees its own locks only, and two nodes can take the same run.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakSet

from prefix_rft.errors import RunLockedError
from prefix_rft.runs.atomic import refused

LOCK_FILE = "run.lock"
_PATIENCE_SECONDS = 0.3


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    pid: int
    host: str
    since: str
    """ISO 8601, UTC."""


class RunLock:
    """The lock of one run directory, for use with `with`."""

    def __init__(self, run_path: Path) -> None:
        self.path = run_path / LOCK_FILE
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or fail at once.

        Raises:
            RunLockedError: another process holds it; names the process and what to do.
            RunError: the disk is full or refuses.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _take(descriptor):
            os.close(descriptor)
            raise RunLockedError(self._taken())
        self._descriptor = descriptor
        _HELD.add(self)
        holder = Holder(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"))
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        except OSError as error:
            self.release()
            raise refused(self.path, error) from error

    def release(self) -> None:
        """Give the lock back; a lock that is not held stays so."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            _HELD.discard(self)

    def _taken(self) -> str:
        holder = _recorded(self.path)
        who = (
            f"process {holder.pid} on {holder.host} since {holder.since}"
            if holder
            else "a process starting just now"
        )
        stop = f"stop that process (on {holder.host}: kill {holder.pid})" if holder else "try again"
        return (
            f"run {self.path.parent.name} is being worked on by {who} ({self.path}). "
            f"Wait until it ends, or {stop}; its work since the last checkpoint is then done again."
        )

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder(run_path: Path) -> Holder | None:
    """Who holds the run's lock now, or None; asks without taking the lock from anybody."""
    return (_recorded(run_path / LOCK_FILE) or _UNNAMED) if is_locked(run_path) else None


def is_locked(run_path: Path) -> bool:
    """Whether a live process holds the run's lock."""
    try:
        descriptor = os.open(run_path / LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    """Try for a moment: a probe by `is_locked` shares the lock for some microseconds."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


_UNNAMED = Holder(0, "a host that has not written its name yet", "a moment ago")


def _recorded(path: Path) -> Holder | None:
    """What the holder wrote; None in the moment before it has written."""
    try:
        return Holder(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        return None


_HELD: WeakSet[RunLock] = WeakSet()


def _let_go_in_child() -> None:
    """A forked child shares its parent's lock and would keep it alive after the parent's death."""
    for lock in list(_HELD):
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_child)
