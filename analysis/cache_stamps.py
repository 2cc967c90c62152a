"""Stamps of a run's files: which state of them something was read from, and whether a stamp can be trusted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analysis.evaluations import TABLES
from analysis.kept import file_stamp
from eval.results import SCORES_FILE
from prefix_rft.runs.atomic import temporary_beside
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.provenance import PROVENANCE_FILE
from prefix_rft.runs.state import EVENTS_FILE, STATE_FILE
from prefix_rft.runs.store import CONFIG_FILE, IDENTITY_FILE

_FILES = (IDENTITY_FILE, CONFIG_FILE, PROVENANCE_FILE, METRICS_FILE, EVENTS_FILE, STATE_FILE)
_OF_EVALUATION = (SCORES_FILE, *TABLES)
_MARGIN_NS = 2 * 10**9
"""The coarsest clock of a file system in use ticks every two seconds (FAT); ext4's every 4 ms."""


@dataclass(frozen=True)
class Stamp:
    """The state of a run's files."""

    text: str
    """Differs whenever a file was written, replaced, added or removed."""
    newest_ns: int
    """When the last of them changed."""

    def is_settled(self, clock_ns: int) -> bool:
        """Whether a write after `clock_ns` changes the stamp: one within the same tick of the clock would not."""
        return self.newest_ns < clock_ns - _MARGIN_NS


def stamp_of(run_path: Path) -> Stamp:
    """The stamp of what the frames show of a run; takes about a dozen looks at the file system."""
    files = [(name, *file_stamp(name)) for name in _files(os.fspath(run_path))]
    place = len(os.fspath(run_path))
    text = repr([(name[place:], *stamp) for name, *stamp in files])
    newest = max(max(modified, changed) for _, modified, changed, _, _ in files)
    return Stamp(hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest(), newest)


def file_system_clock(folder: Path) -> int:
    """Now, in ns, by the clock that stamps the files of this folder: a server's may differ from ours.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(exist_ok=True)
    probe = temporary_beside(folder / "clock")
    try:
        probe.touch(exist_ok=False)
        return probe.stat().st_mtime_ns
    finally:
        probe.unlink(missing_ok=True)


def _files(run: str) -> Iterator[str]:
    yield from (f"{run}/{name}" for name in _FILES)
    for part in _folders(f"{run}/eval"):
        for folder in _folders(part):
            yield from (f"{folder}/{name}" for name in _OF_EVALUATION)


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.path for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
