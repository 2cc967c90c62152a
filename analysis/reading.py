"""What one run left on disk, each file read once however many tables show the run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from analysis.cells import NOT_STARTED, standing
from analysis.evaluations import Evaluation, find_evaluations, read_evaluation, score_rows
from analysis.kept import until_changed
from prefix_rft.errors import PrefixRftError, RunError
from prefix_rft.runs.atomic import read_json
from prefix_rft.runs.jsonl import Record
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.provenance import PROVENANCE_FILE
from prefix_rft.runs.state import EVENTS_FILE, RunState
from prefix_rft.runs.store import CONFIG_FILE, IDENTITY_FILE, RunDir, Store
from prefix_rft.settings import RunConfig


@dataclass(frozen=True)
class History:
    """What a run's events say of its times."""

    seconds: float = 0.0
    """At work on the run, all attempts together."""
    created: str | None = None
    """ISO 8601, UTC."""
    finished: str | None = None
    """When it was last done; None of a run that never was."""


@dataclass(frozen=True)
class RunRecord:
    """What was read of one run; nothing but the reason where some of it cannot be read."""

    standing: str
    damage: str = ""
    config: RunConfig | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    state: RunState | None = None
    """None where the run is unreadable or does not exist."""
    metrics: Sequence[Record] = ()
    history: History = History()
    scores: Sequence[Record] = ()
    evaluations: Mapping[str, Mapping[str, Evaluation]] = field(default_factory=dict)
    """By part, then by protocol folder."""

    @property
    def seconds(self) -> float:
        """At work on the run, all attempts together."""
        return self.history.seconds


Parts = Mapping[str, str | None]
"""Splits or benchmarks, each with its protocol folder; None stands for every folder."""


def read_run(store: Store, run_id: str, parts: Parts | None = None) -> RunRecord:
    """A run, with its evaluations on some parts; a damaged run is one without anything but the reason.

    Args:
        store: where the run is.
        run_id: which one; it need not exist.
        parts: whose verdicts are read; None reads none.
    """
    run = RunDir(store.path(run_id))
    if not os.path.exists(run.path / IDENTITY_FILE):
        return RunRecord(NOT_STARTED)
    try:
        state = run.state()
        return RunRecord(
            standing=standing(state),
            config=_config(run.path),
            provenance=_provenance(run.path),
            state=state,
            metrics=_metrics(run.path),
            history=_history(run.path),
            scores=list(score_rows(run)),
            evaluations={part: _read(run, part, folder) for part, folder in (parts or {}).items()},
        )
    except (PrefixRftError, OSError) as error:
        return RunRecord(f"unreadable: {type(error).__name__}", damage=str(error))


def _read(run: RunDir, part: str, folder: str | None) -> dict[str, Evaluation]:
    found = find_evaluations(run, part)
    return {name: read_evaluation(path) for name, path in found.items() if folder in (None, name)}


def busy_seconds(events: Sequence[Record]) -> float:
    """Seconds that processes worked on a run: from each attempt to the last thing it recorded.

    An attempt during which the clock was set back, to before its beginning, counts as none.
    """
    total, began, last = 0.0, None, None
    for event in events:
        time = datetime.fromisoformat(event["time"])
        if event["event"] == "attempt":
            total += max(0.0, (last - began).total_seconds()) if began and last else 0.0
            began = time
        last = time
    return total + (max(0.0, (last - began).total_seconds()) if began and last else 0.0)


@until_changed(CONFIG_FILE, IDENTITY_FILE)
def _config(path: Path) -> RunConfig:
    return RunDir(path).config()


@until_changed(PROVENANCE_FILE)
def _provenance(path: Path) -> Mapping[str, Any]:
    file = path / PROVENANCE_FILE
    found = read_json(file) if file.exists() else {}
    if not isinstance(found, dict):
        raise RunError(f"{file} is not a JSON object. Restore the file, or delete it to do without.")
    return found


def metrics_of(run: RunDir) -> Sequence[Record]:
    """Its rows of metrics.

    Raises:
        RunError: one is damaged.
    """
    return _metrics(run.path)


@until_changed(METRICS_FILE)
def _metrics(path: Path) -> Sequence[Record]:
    rows = RunDir(path).metrics()
    for row in rows:
        if not _is_metrics_row(row):
            raise RunError(
                f"{path / METRICS_FILE} holds a row without a step and a kind, or with a text for a number: {row}. "
                "Remove that line."
            )
    return rows


def _is_metrics_row(row: Record) -> bool:
    numbers = (row.get("reward"), row.get("validation/accuracy"))
    placed = isinstance(row.get("step"), int) and isinstance(row.get("kind"), str)
    return placed and all(value is None or isinstance(value, int | float) for value in numbers)


@until_changed(EVENTS_FILE)
def _history(path: Path) -> History:
    events = RunDir(path).events()
    try:
        times = {event["event"]: event["time"] for event in events}
        return History(busy_seconds(events), times.get("created"), times.get("done"))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path / EVENTS_FILE} holds an event without a name and a time ({type(error).__name__}: {error}). "
            "Remove that line."
        ) from error
