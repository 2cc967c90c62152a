"""Results of reading files, kept until the files change: one run stands in many tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")
_RUNS = 1024
"""Folders whose content is kept."""


def until_changed(*names: str) -> Callable[[Callable[[Path], Found]], Callable[[Path], Found]]:
    """Keeps what is read from a folder until one of the named files in it changes."""

    def keep(read: Callable[[Path], Found]) -> Callable[[Path], Found]:
        @lru_cache(maxsize=_RUNS)
        def kept(folder: Path, stamps: tuple[tuple[int, int], ...]) -> Found:
            return read(folder)

        @wraps(read)
        def current(folder: Path) -> Found:
            return kept(folder, tuple(_stamp(folder / name) for name in names))

        return current

    return keep


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return found.st_mtime_ns, found.st_size
