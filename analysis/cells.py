"""One place of a table or a figure: which run stands there, and in words where that run stands."""

from __future__ import annotations

import os
from dataclasses import dataclass

from analysis.style import NAMES
from prefix_rft.runs.state import RunState
from prefix_rft.runs.store import IDENTITY_FILE, RunDir, Store

NOT_STARTED = "not started"


@dataclass(frozen=True)
class Cell:
    """A run's place: cells of one label are the training seeds of one row."""

    run_id: str
    method: str
    """Name of the method's settings, or base."""
    seed: int | None
    """Training seed; None for a base model."""
    label: str
    """The row's name."""


def cell_of(run: RunDir) -> Cell:
    """The cell of a run that stands for its method under no sweep's own label.

    Raises:
        RunError: the run's identity cannot be read.
    """
    identity = run.identity()
    if identity.kind == "base":
        return Cell(run.id, "base", None, NAMES["base"])
    settings = identity.counts["settings"]
    name = settings["method"]["name"]
    return Cell(run.id, name, settings["seed"], NAMES.get(name, name))


def open_run(store: Store, run_id: str) -> RunDir | None:
    """The run, or None where it was never created."""
    # Opening one that is not there looks for its likes among all others, for every run of a sweep that is planned.
    run = RunDir(store.path(run_id))
    return run if os.path.exists(run.path / IDENTITY_FILE) else None


def standing(state: RunState) -> str:
    """In words where a run stands: done, running 40/60, failed: TrainingError, not started."""
    if state.status == "new":
        return NOT_STARTED
    if state.status == "failed":
        return f"failed: {state.error.type if state.error else 'no cause recorded'}"
    if state.status in ("running", "lost"):
        stage = "evaluation " if (state.stage or "").startswith("evaluate") else ""
        return f"{state.status} {stage}{progress(state)}".strip()
    return state.status


def progress(state: RunState) -> str:
    """Steps of the present stage as 40/60; empty where the run has not begun to count."""
    if state.step is None:
        return ""
    return f"{state.step}/{state.total_steps}" if state.total_steps else str(state.step)
