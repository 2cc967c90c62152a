"""`prefix-rft reproduce`: every sweep, each distinct run once, then every table and figure.

What is done is not done again: killed anywhere and started again it goes on, and ends with the same tables.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis import render
from analysis.index import IndexEntry, write_index
from analysis.layout import Column, Entry, Row, Table
from analysis.outcome import outcome as outcome_of
from analysis.page.sheet import Sheet
from experiments.commands.bars import bars
from experiments.commands.report import load, write_folder, write_page
from experiments.execute import Report, execute
from experiments.exits import CellsFailedError
from experiments.pace import clock
from experiments.plan import plan
from experiments.selection import Selection, select
from prefix_rft.errors import PrefixRftError


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
    entries, sheets, failed = _write_all(selections, folder, date, console)
    index = write_index(folder, entries, date)
    page = write_page(folder, sheets, selections[0].store, title="Results of all sweeps", date=date)
    console.print(render.rich_renderable(_table(entries)))
    seconds = f"runs {clock(trained - started)}, reports {clock(time.monotonic() - trained)}"
    console.print(f"{summary(selections, outcome)}; {seconds}; all results: {index}, {page}")
    outcome.raise_for_failures()
    if failed:
        raise CellsFailedError("\n".join([f"{len(failed)} of {len(selections)} reports failed:", *failed]))
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


def _write_all(
    selections: Sequence[Selection], folder: Path, date: str, console: Console
) -> tuple[list[IndexEntry], list[Sheet], list[str]]:
    """The reports that could be written, and why the others could not: one costs no other its report."""
    entries: list[IndexEntry] = []
    sheets: list[Sheet] = []
    failed: list[str] = []
    with bars(console) as progress:
        for selection in progress.track(selections, description="tables and figures"):
            try:
                entry, sheet = _write(selection, folder, date)
                entries.append(entry)
                sheets.append(sheet)
            except PrefixRftError as error:
                failed.append(f"  {selection.name}: {type(error).__name__}: {error}")
    return entries, sheets, failed


def _write(selection: Selection, folder: Path, date: str) -> tuple[IndexEntry, Sheet]:
    results, sweep = load(selection), selection.sweep
    written = write_folder(selection, results, folder / selection.name, date)
    return IndexEntry(selection.name, sweep.title, sweep.reproduces, results), written.sheet


def _table(entries: Sequence[IndexEntry]) -> Table:
    columns = (
        Column("sweep", "Sweep", numeric=False),
        Column("evaluated", "Evaluated"),
        Column("outcome", "Outcome", numeric=False),
    )
    return Table("", columns, tuple(Row(tuple(map(Entry, _entries(entry)))) for entry in entries))


def _entries(entry: IndexEntry) -> tuple[str, str, str]:
    runs = {cell.run_id for cell in entry.results.cells}
    return entry.name, f"{len(entry.results.evaluations)}/{len(runs)}", outcome_of(entry.results)
