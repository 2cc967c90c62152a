"""Rows of runs for the frames, read again only of runs whose files have changed since a process last read them.

What was read is kept in `<store>/.frames/`, which may be deleted at any time. A run is kept as soon as nothing works on
it and its files have not changed for two seconds; one that is running or cannot be read is read each time.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from analysis.cache_file import Entry, load, save
from analysis.cache_stamps import Stamp, file_system_clock, stamp_of
from analysis.cells import Cell, cell_of
from analysis.frames import RunRows, rows_of
from analysis.kept import file_stamp
from analysis.reading import read_run
from analysis.style import NAMES
from prefix_rft.errors import PrefixRftError, RunError
from prefix_rft.runs.atomic import TEMPORARY
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.store import RunDir, Store

FOLDER = ".frames"
"""In the store's folder; not the name of a run."""
_FILE = "runs"
_AT_REST = ("new", "queued", "done", "failed", "lost")
"""Of these a file changes before they read otherwise; but a lost run's lock may be taken again."""
_ABANDONED_NS = 3600 * 10**9
"""Half-written files that are older were left by a process that was killed."""


@dataclass(frozen=True)
class Known:
    """What the frames show of one run."""

    cell: Cell
    """The run's place under no sweep's own label."""
    rows: RunRows


def read_rows(store: Store, run_id: str) -> Known:
    """What the frames show of a run, from its files; a run whose identity cannot be read is of no method."""
    try:
        cell = cell_of(RunDir(store.path(run_id)))
    except (PrefixRftError, OSError):
        cell = Cell(run_id, "", None, "unreadable")
    return Known(cell, rows_of(read_run(store, run_id)))


def known_rows(store: Store, run_ids: Iterable[str]) -> dict[str, Known]:
    """The same of many runs, by id; what has changed is read, and kept for the next process.

    Where nothing can be written (a full disk, a store that may only be read) it warns, and everything works without.
    """
    folder = store.root / FOLDER
    kept, wanted = load(folder / _FILE), dict.fromkeys(run_ids)
    current = {run_id: _current(store.path(run_id), kept.get(run_id)) for run_id in wanted}
    known = {run_id: found for run_id, found in current.items() if found}
    others = [run_id for run_id in kept if run_id not in known]
    gone = {run_id for run_id in others if not os.path.exists(store.path(run_id))}
    changed = [run_id for run_id in wanted if run_id not in known]
    if not changed and not gone:
        return known
    there = any(os.path.exists(store.path(run_id)) for run_id in changed)
    fresh, keepable = _read(store, changed, _clock(folder) if there else None)
    if gone or keepable:
        left = {run_id: entry for run_id, entry in kept.items() if run_id not in gone}
        _save(folder, left | keepable)
    return {run_id: known.get(run_id) or fresh[run_id] for run_id in wanted}


def _current(run_path: Path, entry: Entry | None) -> Known | None:
    """What is kept of a run, if it is what its files say now."""
    if entry is None or entry.stamp != stamp_of(run_path).text:
        return None
    content = json.loads(entry.content)
    if content["run"]["status"] == "lost" and is_locked(run_path):
        return None
    rows = RunRows(content["run"], content["scores"], entry.curves)
    method = content["method"]
    return Known(Cell(run_path.name, method, content["seed"], NAMES.get(method, method)), rows)


def _read(
    store: Store, run_ids: Iterable[str], clock_ns: int | None
) -> tuple[dict[str, Known], dict[str, Entry]]:
    """Runs from their files, and what can be kept of them."""
    fresh, keepable = {}, {}
    for run_id in run_ids:
        # The stamp comes first: a file that changes while it is read has another one afterwards.
        stamp = stamp_of(store.path(run_id))
        fresh[run_id] = found = read_rows(store, run_id)
        if clock_ns and stamp.is_settled(clock_ns) and found.rows.run["status"] in _AT_REST:
            keepable[run_id] = _entry(stamp, found)
    return fresh, keepable


def _entry(stamp: Stamp, known: Known) -> Entry:
    content = {
        "method": known.cell.method,
        "seed": known.cell.seed,
        "run": known.rows.run,
        "scores": known.rows.scores,
    }
    return Entry(stamp.text, json.dumps(content), known.rows.curves)


def _clock(folder: Path) -> int | None:
    """None, and a warning, where nothing can be written."""
    try:
        clock_ns = file_system_clock(folder)
        for path in folder.glob(f"{TEMPORARY}*"):
            if file_stamp(os.fspath(path))[0] < clock_ns - _ABANDONED_NS:
                path.unlink(missing_ok=True)
    except OSError as error:
        _cannot_keep(folder, error.strerror or str(error))
        return None
    return clock_ns


def _save(folder: Path, entries: Mapping[str, Entry]) -> None:
    try:
        save(folder / _FILE, entries)
    except RunError as error:
        cause = error.__cause__
        _cannot_keep(folder, (cause.strerror if isinstance(cause, OSError) else None) or str(error))


@cache
def _cannot_keep(folder: Path, reason: str) -> None:
    """Says it once."""
    warnings.warn(
        f"cannot keep in {folder} what was read of the runs: {reason}. Everything works, but every process reads the "
        "changed runs again. Free some space there or make it writable; frames(store, cache=False) asks for neither.",
        RuntimeWarning,
        stacklevel=2,
    )
