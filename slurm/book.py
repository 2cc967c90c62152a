"""What was submitted: an append-only book beside the cells, written before SLURM is asked and after it answered.

Below its folder: `arrays.jsonl`, the book; `arrays/<token>/` with script, tasks, logs and how each job began and
ended; `snapshots/` with the code; `submit.lock`. A submitting process can die at any line: an array that was planned
but has no number is looked for in SLURM by its token before anything else is submitted.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slurm.errors import SubmissionError

Key = tuple[str, str]
"""Cell and stage."""
FOLDER = "slurm"
_BOOK = "arrays.jsonl"
_LOCK = "submit.lock"
_LOCK_PATIENCE_SECONDS = 300.0
_BLOCK = 1 << 16


@dataclass
class Entry:
    """One array as the book has it."""

    token: str
    stage: str
    cells: dict[int, str]
    """By index in the array."""
    after: dict[int, Key] = field(default_factory=dict)
    """What each job waits for, by index."""
    job: str | None = None
    """SLURM's number; None until it is known."""
    closed: str | None = None
    """Why it has no number and will have none."""

    @property
    def open(self) -> bool:
        """Whether nobody knows if SLURM has it."""
        return self.job is None and self.closed is None


@dataclass(frozen=True)
class Place:
    """Where one stage of one cell was submitted last."""

    entry: Entry
    index: int

    @property
    def ref(self) -> str:
        """As SLURM calls the job: 12_3."""
        return f"{self.entry.job}_{self.index}"


class Book:
    """The book of one folder of cells."""

    def __init__(self, cells: Path) -> None:
        """`cells` is the folder that holds them."""
        self.folder = cells / FOLDER
        self.path = self.folder / _BOOK

    def entries(self) -> list[Entry]:
        """Every array, in the order planned.

        Raises:
            SubmissionError: a line is damaged.
        """
        found: dict[str, Entry] = {}
        for row in self._rows():
            self._apply(found, row)
        return list(found.values())

    def places(self) -> dict[Key, Place]:
        """The newest array of every stage of every cell, of those that SLURM has taken."""
        return {
            (cell, entry.stage): Place(entry, index)
            for entry in self.entries()
            if entry.job is not None
            for index, cell in entry.cells.items()
        }

    def plan(self, entry: Entry) -> None:
        """Write down that an array is about to be submitted."""
        after = {str(index): list(key) for index, key in entry.after.items()}
        cells = {str(index): cell for index, cell in entry.cells.items()}
        self._append("planned", token=entry.token, stage=entry.stage, cells=cells, after=after)

    def submitted(self, entry: Entry, job: str) -> None:
        """Write down the number that SLURM gave it."""
        entry.job = job
        self._append("submitted", token=entry.token, job=job)

    def close(self, entry: Entry, why: str) -> None:
        """Write down that SLURM has not taken it."""
        entry.closed = why
        self._append("closed", token=entry.token, why=why)

    def array(self, token: str) -> Path:
        """Folder of one array: script, tasks, logs."""
        return self.folder / "arrays" / token

    def log(self, place: Place) -> Path:
        """What a job's program printed before it wrote a log of its own."""
        return self.array(place.entry.token) / f"{place.ref}.log"

    @contextmanager
    def lock(self) -> Iterator[int]:
        """One submission at a time; gives the descriptor that holds the lock.

        A child that inherits it, sbatch, goes on holding the lock where this process dies before it.

        Raises:
            SubmissionError: somebody else has been submitting for minutes, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o664)
        except OSError as error:
            raise SubmissionError(
                f"{error}: to submit from here this folder has to be yours to write"
            ) from None
        try:
            _wait_for(descriptor, self.folder / _LOCK)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)

    def _apply(self, found: dict[str, Entry], row: Mapping[str, Any]) -> None:
        match row:
            case {"event": "planned", "token": token, "stage": stage, "cells": cells, "after": after}:
                numbered = {int(index): cell for index, cell in cells.items()}
                parents = {int(index): (key[0], key[1]) for index, key in after.items()}
                found[token] = Entry(token, stage, numbered, parents)
            case {"event": "submitted", "token": token, "job": job}:
                found[token].job = job
            case {"event": "closed", "token": token, "why": why}:
                found[token].closed = why

    def _rows(self) -> Iterator[dict[str, Any]]:
        try:
            committed = self.path.read_bytes().rpartition(b"\n")[0]
        except FileNotFoundError:
            return
        for number, line in enumerate(committed.split(b"\n") if committed else (), start=1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise SubmissionError(
                    f"{self.path}, line {number}, is damaged: {error}. Restore it from a copy; or, once `squeue --me` "
                    "shows no job of this store, delete that file: what is done is not submitted again."
                ) from None

    def _append(self, event: str, **fields: Any) -> None:
        """One line, on the disk before this returns; a torn end that a killed writer left is cut off first."""
        line = json.dumps({"event": event, **fields, "time": _now()}).encode() + b"\n"
        try:
            self._add(line)
        except OSError as error:
            raise SubmissionError(
                f"cannot write {self.path}: {error.strerror}. What is on record stays. Make room or give yourself the "
                "right to write there, then give the same command again: it looks for what SLURM has taken."
            ) from error

    def _add(self, line: bytes) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o664)
        try:
            end = _committed_size(descriptor)
            os.ftruncate(descriptor, end)
            if os.pwrite(descriptor, line, end) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # no new line, so not on record
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _committed_size(descriptor: int) -> int:
    """Bytes up to and with the last new line; reads back from the end, whatever was submitted before."""
    start = os.fstat(descriptor).st_size
    while start > 0:
        stop, start = start, max(0, start - _BLOCK)
        newline = os.pread(descriptor, stop - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
    return 0


def new_token(stage: str) -> str:
    """A fresh name of an array: when, which stage, and enough chance that it is nobody else's."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{stage}-{secrets.token_hex(4)}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _wait_for(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SubmissionError(
                    f"{path.read_text()} has been submitting for {_LOCK_PATIENCE_SECONDS:.0f} s ({path}). Wait, "
                    "or end that process."
                ) from None
            time.sleep(0.05)
        else:
            return
