"""Reports of several sweeps: a folder for each, an index, and one HTML page over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from rich.console import Console

from analysis import render
from analysis.figure_folders import drawings
from analysis.index import IndexEntry, write_index
from analysis.layout import Column, Entry, Row, Table
from analysis.outcome import outcome as outcome_of
from analysis.page.sheet import Sheet
from analysis.report import FIGURES
from experiments.commands.bars import bars
from experiments.commands.report import load, write_folder, write_page
from experiments.exits import CellsFailedError
from experiments.selection import Selection, select
from prefix_rft.errors import PrefixRftError, RunError


@dataclass(frozen=True)
class Reports:
    """What was written of several sweeps."""

    entries: tuple[IndexEntry, ...]
    index: Path
    page: Path
    failed: tuple[str, ...] = ()
    """Why a sweep has no report, a line each."""

    @property
    def table(self) -> Table:
        """A line a sweep: its runs and its outcome."""
        columns = (
            Column("sweep", "Sweep", numeric=False),
            Column("evaluated", "Evaluated"),
            Column("outcome", "Outcome", numeric=False),
        )
        return Table("", columns, tuple(map(_row, self.entries)))

    def raise_for_failures(self) -> None:
        """Say aloud which reports are missing.

        Raises:
            CellsFailedError: one could not be written.
        """
        if self.failed:
            count = len(self.failed) + len(self.entries)
            raise CellsFailedError(
                "\n".join([f"{len(self.failed)} of {count} reports failed:", *self.failed])
            )


def write_reports(selections: Sequence[Selection], folder: Path, date: str, console: Console) -> Reports:
    """Write the reports that can be written; one that cannot costs no other its report."""
    failed: dict[str, str] = {}
    entries: list[IndexEntry] = []
    sheets: list[Sheet] = []
    with console.status("reading the runs"):
        loaded = [(one, found) for one in selections if (found := _tried(one, failed, load, one))]
    figures = {folder / one.name / FIGURES: results for one, results in loaded}
    with drawings(figures) as drawing, bars(console) as progress:
        for one, results in progress.track(loaded, description="tables and figures"):
            written = _tried(one, failed, write_folder, one, results, folder / one.name, date, drawing)
            if written:
                sheets.append(written.sheet)
                entries.append(IndexEntry(one.name, one.sweep.title, one.sweep.reproduces, results))
    index = write_index(folder, entries, date)
    page = write_page(folder, sheets, selections[0].store, title="Results of all sweeps", date=date)
    return Reports(tuple(entries), index, page, tuple(failed.values()))


Value = TypeVar("Value")
Arguments = ParamSpec("Arguments")


def _tried(
    selection: Selection,
    failed: dict[str, str],
    do: Callable[Arguments, Value],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Value | None:
    """What `do` gives; None where it fails, and then `failed` says why."""
    try:
        return do(*args, **kwargs)
    except PrefixRftError as error:
        failed[selection.name] = f"  {selection.name}: {type(error).__name__}: {error}"
        return None


def report_begun(
    overrides: Sequence[str], names: Sequence[str], folder: Path, date: str, console: Console
) -> int:
    """Write the reports of those of these sweeps of which some run exists, without running anything.

    Raises:
        CellsFailedError: a report could not be written; the others are there.
        RunError: no run of any of them exists.
    """
    with console.status("looking for runs"):
        selections = [select(name, overrides) for name in names]
    begun = [selection for selection in selections if _begun(selection)]
    if not begun:
        raise RunError(
            f"{selections[0].store.root} has no run of {', '.join(names)}. Name the store, e.g. store=runs, and "
            "settings that the runs have, e.g. scale=paper; or run them: prefix-rft reproduce"
        )
    written = write_reports(begun, folder, date, console)
    console.print(render.rich_renderable(written.table))
    rest = [selection.name for selection in selections if not _begun(selection)]
    if rest:
        console.print(f"Not begun with these settings: {', '.join(rest)}.")
    console.print(f"all results: {written.index}, {written.page}")
    written.raise_for_failures()
    return 0


def _begun(selection: Selection) -> bool:
    return any(
        selection.store.path(cell.run_id).is_dir() for cell in selection.cells if cell.method != "base"
    )


def _row(entry: IndexEntry) -> Row:
    evaluated = f"{len(entry.results.evaluations)}/{len(entry.results.runs)}"
    return Row((Entry(entry.name), Entry(evaluated), Entry(outcome_of(entry.results))))
