"""What one run left on disk, each file read once however many tables show the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from analysis.cells import NOT_STARTED, open_run, standing
from analysis.evaluations import Evaluation, find_evaluations, read_evaluation, score_rows
from analysis.kept import until_changed
from prefix_rft.errors import PrefixRftError
from prefix_rft.runs.atomic import read_json
from prefix_rft.runs.jsonl import Record
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.provenance import PROVENANCE_FILE
from prefix_rft.runs.state import EVENTS_FILE
from prefix_rft.runs.store import CONFIG_FILE, IDENTITY_FILE, RunDir, Store
from prefix_rft.settings import RunConfig


@dataclass(frozen=True)
class RunRecord:
    """What was read of one run; nothing but the reason where some of it cannot be read."""

    standing: str
    damage: str = ""
    config: RunConfig | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Record] = ()
    seconds: float = 0.0
    """At work on the run, all attempts together."""
    scores: Sequence[Record] = ()
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)
    """Of one split, by protocol folder."""


def read_run(store: Store, run_id: str, split: str | None = None, folder: str | None = None) -> RunRecord:
    """A run, with its evaluations of a split; a damaged run is one without anything but the reason.

    Args:
        store: where the run is.
        run_id: which one; it need not exist.
        split: None reads no verdicts.
        folder: only this protocol's verdicts; None reads those of every protocol.
    """
    run = open_run(store, run_id)
    if run is None:
        return RunRecord(NOT_STARTED)
    try:
        folders = find_evaluations(run, split) if split else {}
        return RunRecord(
            standing=standing(run.state()),
            config=_config(run.path),
            provenance=_provenance(run.path),
            metrics=_metrics(run.path),
            seconds=_seconds(run.path),
            scores=list(score_rows(run)),
            evaluations={
                name: read_evaluation(path) for name, path in folders.items() if folder in (None, name)
            },
        )
    except PrefixRftError as error:
        return RunRecord(f"unreadable: {type(error).__name__}", damage=str(error))


def busy_seconds(events: Sequence[Record]) -> float:
    """Seconds that processes worked on a run: from each attempt to the last thing it recorded."""
    total, began, last = 0.0, None, None
    for event in events:
        time = datetime.fromisoformat(event["time"])
        if event["event"] == "attempt":
            total += (last - began).total_seconds() if began and last else 0.0
            began = time
        last = time
    return total + ((last - began).total_seconds() if began and last else 0.0)


@until_changed(CONFIG_FILE, IDENTITY_FILE)
def _config(path: Path) -> RunConfig:
    return RunDir(path).config()


@until_changed(PROVENANCE_FILE)
def _provenance(path: Path) -> Mapping[str, Any]:
    file = path / PROVENANCE_FILE
    return read_json(file) if file.exists() else {}


@until_changed(METRICS_FILE)
def _metrics(path: Path) -> Sequence[Record]:
    return RunDir(path).metrics()


@until_changed(EVENTS_FILE)
def _seconds(path: Path) -> float:
    return busy_seconds(RunDir(path).events())
