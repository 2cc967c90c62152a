"""One live process a run: a lock that the kernel gives back however its holder dies.

The lock is `flock(2)` on `run.lock`. It holds between the processes of one machine. Across machines it holds
on NFS (Linux sends it to the server as a byte-range lock, which needs the server's lock service) and on
Lustre mounted with `flock`; on Lustre mounted with `localflock`, or NFS mounted with `local_lock=flock`, each
machine sees its own locks only, and two nodes can take the same run. The file says who holds the lock: a holder that
finds it gone, or another's name in it, has lost the run and writes nothing more.
"""

from __future__ import annotations

import errno
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

from prefix_rft.errors import LockLostError, RunLockedError
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
        self._said = b""

    def acquire(self) -> None:
        """Take the lock, or fail at once.

        Raises:
            RunLockedError: another process holds it; names the process and what to do.
            RunError: the disk is full or refuses.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise refused(self.path, error) from error
        if not _take(descriptor):
            os.close(descriptor)
            raise RunLockedError(self._taken())
        self._descriptor = descriptor
        _HELD.add(self)
        since = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._said = json.dumps(asdict(Holder(os.getpid(), socket.gethostname(), since))).encode()
        try:
            os.ftruncate(descriptor, 0)
            if os.pwrite(descriptor, self._said, 0) < len(self._said):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.check()  # removed between opening and locking, it locks nothing
        except OSError as error:
            self.release()
            raise refused(self.path, error) from error
        except LockLostError:
            self.release()
            raise

    def check(self) -> None:
        """Make sure that the run is still this process's.

        Raises:
            LockLostError: the file was removed, or another process wrote its name into it.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._descriptor is not None and (found := _content(self.path)) != self._said:
            # A server may not find for a moment what is there; another's name does not go away.
            if found is not None or time.monotonic() > deadline:
                raise LockLostError(self._lost())
            time.sleep(0.02)

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

    def _lost(self) -> str:
        now = _recorded(self.path)
        how = f"taken over by process {now.pid} on {now.host}" if now else "removed"
        return (
            f"run {self.path.parent.name}: its lock {self.path} was {how} while this process worked on the run. It "
            "stops here and writes nothing more, so that no two write into one run. Find out who else works on the "
            "run, then give the same command again: it goes on from the last checkpoint."
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


def refuse_if_lost(run_path: Path) -> None:
    """Before a write into a run: nothing, unless this process had its lock and has lost it.

    Raises:
        LockLostError: it has.
    """
    for lock in list(_HELD):
        if lock.path.parent == run_path:
            lock.check()


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
    except (OSError, ValueError, TypeError):
        return None


def _content(path: Path) -> bytes | None:
    """What the file says under its name now, whatever an open descriptor still sees; None where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


_HELD: WeakSet[RunLock] = WeakSet()


def _let_go_in_child() -> None:
    """A forked child shares its parent's lock and would keep it alive after the parent's death."""
    for lock in list(_HELD):
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_child)
