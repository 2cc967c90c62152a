"""Results of reading files, kept until the files change: one run stands in many tables."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")
FileStamp = tuple[int, int, int, int]
"""Times of change of content and of inode in ns, size in bytes, inode; zeros for a file that is not there."""
_RUNS = 1024
"""Folders whose content is kept."""


def until_changed(*names: str) -> Callable[[Callable[[Path], Found]], Callable[[Path], Found]]:
    """Keeps what is read from a folder until one of the named files in it changes."""

    def keep(read: Callable[[Path], Found]) -> Callable[[Path], Found]:
        @lru_cache(maxsize=_RUNS)
        def kept(folder: Path, stamps: tuple[FileStamp, ...]) -> Found:
            return read(folder)

        @wraps(read)
        def current(folder: Path) -> Found:
            return kept(folder, tuple(file_stamp(os.path.join(folder, name)) for name in names))

        return current

    return keep


def file_stamp(path: str) -> FileStamp:
    """What changes whenever the file is replaced, or written at another tick of the clock."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return (0, 0, 0, 0)
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
