"""`prefix-rft reproduce`: every sweep, each distinct run once, then every table and figure.

What is done is not done again: killed anywhere and started again it goes on, and ends with the same tables.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis import render
from experiments.commands.reports import write_reports
from experiments.execute import Report, execute
from experiments.pace import clock
from experiments.plan import plan
from experiments.selection import Selection, select


def reproduce(
    sweeps: Sequence[str], overrides: Sequence[str], folder: Path, date: str, console: Console
) -> int:
    """Train what is missing of these sweeps and write a report folder for each, and a page that leads to them.

    Raises:
        CellsInterruptedError: the command was stopped; nothing is written then.
        CellsFailedError: a run failed, or a report could not be written; the others are there.
    """
    started = time.monotonic()
    selections = [select(name, overrides) for name in sweeps]
    outcome = execute([config for selection in selections for config in selection.configs])
    if outcome.interrupted:
        outcome.raise_for_failures()
    trained = time.monotonic()
    written = write_reports(selections, folder, date, console)
    console.print(render.rich_renderable(written.table))
    seconds = f"runs {clock(trained - started)}, reports {clock(time.monotonic() - trained)}"
    console.print(f"{summary(selections, outcome)}; {seconds}; all results: {written.index}, {written.page}")
    outcome.raise_for_failures()
    written.raise_for_failures()
    return 0


def summary(selections: Sequence[Selection], outcome: Report) -> str:
    """How many runs there are, how many serve several sweeps, and how many this command worked on."""
    asked = [{task.id for task in plan(selection.configs).tasks} for selection in selections]
    shared = sum(sum(task.id in ids for ids in asked) > 1 for task in outcome.plan.tasks)
    cells, runs = sum(len(selection.configs) for selection in selections), len(outcome.plan.tasks)
    return (
        f"{len(selections)} sweeps, {cells} cells, {runs} distinct runs ({shared} shared between sweeps): "
        f"{len(outcome.touched)} worked on, {len(outcome.done - outcome.touched)} done before"
    )
