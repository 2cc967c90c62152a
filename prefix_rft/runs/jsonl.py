"""Append-only files of one JSON object a line, where the new line commits the record before it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefix_rft.errors import RunError
from prefix_rft.runs.atomic import refused, write_bytes

Record = dict[str, Any]


@dataclass(frozen=True)
class Records:
    """What a file holds: its committed records, and the torn end that a killed writer may have left."""

    rows: list[Record]
    torn: str | None = None
    """Text after the last new line, or None; it was never committed, and the next append cuts it off."""


def read_records(path: Path) -> Records:
    """Every committed record of a file; a missing file holds none.

    Raises:
        RunError: a committed line is not a JSON object; names file and line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Records([])
    committed, separator, tail = content.rpartition(b"\n")
    lines = committed.split(b"\n") if separator else []
    rows = [_parse(path, number, line) for number, line in enumerate(lines, start=1)]
    return Records(rows, tail.decode(errors="replace") or None)


def newest_values(path: Path, keys: Iterable[str]) -> Record:
    """The last value of each key that is not null, as far as there is one; reads no more rows than that takes.

    Raises:
        RunError: a row on the way is not a JSON object; names file and line.
    """
    try:
        lines = path.read_bytes().rpartition(b"\n")[0].split(b"\n")
    except FileNotFoundError:
        return {}
    wanted = {key: json.dumps(key).encode() for key in keys}
    found: Record = {}
    for number in range(len(lines), 0, -1):
        line = lines[number - 1]
        if number == len(lines) or any(name in line for name in wanted.values()):
            row = _parse(path, number, line) if line else {}
            here = {key: row[key] for key in wanted if row.get(key) is not None}
            found |= here
            wanted = {key: name for key, name in wanted.items() if key not in here}
        if not wanted:
            break
    return found


def _parse(path: Path, number: int, line: bytes) -> Record:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, number, str(error)) from error
    if not isinstance(row, dict):
        raise _damaged(path, number, "it is not a JSON object")
    return row


def _damaged(path: Path, number: int, reason: str) -> RunError:
    return RunError(
        f"{path}, line {number}, is damaged: {reason}. Something other than this suite wrote to the file, or "
        "the disk is failing; restore the file from a copy, or remove the line to do without it."
    )


def encode(row: Mapping[str, Any]) -> bytes:
    """One committed line; floats in the shortest form that reads back to the same bits.

    Raises:
        ValueError: a number is NaN or infinite.
        TypeError: a value is not JSON.
    """
    return json.dumps(row, allow_nan=False).encode() + b"\n"


def append_record(path: Path, row: Mapping[str, Any], *, durable: bool = False) -> None:
    """Append one record; several processes may append to one file.

    Args:
        path: the file, created where missing.
        row: the record.
        durable: fsync the file, so that the record survives a loss of power.

    Raises:
        RunError: the disk is full or refuses; nothing of the record stays behind.
    """
    line = encode(row)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _append_line(descriptor, line)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise refused(path, error) from error


def _append_line(descriptor: int, line: bytes) -> None:
    """Write the whole line after the last committed one, or leave the file as it was."""
    end = _committed_size(descriptor)
    os.ftruncate(descriptor, end)
    try:
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _committed_size(descriptor: int, block: int = 1 << 16) -> int:
    """Bytes up to and with the last new line."""
    start = os.fstat(descriptor).st_size
    while start > 0:
        stop, start = start, max(0, start - block)
        newline = os.pread(descriptor, stop - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
    return 0


def rewrite_records(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace the whole file at once.

    Raises:
        RunError: the disk is full or refuses; the old file is still there.
    """
    write_bytes(path, b"".join(encode(row) for row in rows))
