"""`prefix-rft table` and `prefix-rft report`: what a sweep has found so far, on the terminal or as a folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType

from analysis import render
from analysis.design import design_note
from analysis.figure_folders import NONE_BEGUN, Drawings
from analysis.orderings import findings, findings_table, summary_text
from analysis.over_bases import pooled_table
from analysis.page.sheet import Commands, Sheet
from analysis.results import Results, load_results
from analysis.tables import main_table
from experiments.overrides import for_hydra
from experiments.selection import Selection, select
from prefix_rft.runs.store import Store

if TYPE_CHECKING:
    from analysis.report import Written


def table(sweep: str, overrides: Sequence[str], console: Console) -> int:
    """Print a sweep's table as it stands, with what it says about the published orderings."""
    selection = select(sweep, overrides)
    show(selection, load(selection), console)
    return 0


def report(sweep: str, overrides: Sequence[str], folder: Path, date: str, console: Console) -> int:
    """Write a sweep's report folder and list its files."""
    selection = select(sweep, overrides)
    write(selection, load(selection), folder, date, console)
    return 0


def load(selection: Selection) -> Results:
    """What the selected runs have left on disk."""
    return load_results(
        selection.store,
        selection.cells,
        parts=selection.parts,
        sweep=selection.name,
        asked=selection.asked,
    )


def show(selection: Selection, results: Results, console: Console) -> None:
    """Print a table, its protocol, and which published orderings appear in it."""
    with console.status("testing the differences between the rows"):
        shown = _findings(results)
    console.rule(selection.sweep.title, align="left")
    for part in shown:
        console.print(part)


def write(selection: Selection, results: Results, folder: Path, date: str, console: Console) -> None:
    """Write a report folder with its HTML page, and list its files."""
    with console.status("writing the report, its figures and its page"):
        written = write_folder(selection, results, folder, date)
        page = write_page(folder, [written.sheet], selection.store, title=selection.sweep.title, date=date)
    files = [*written.files, page]
    listed = ", ".join(str(file.relative_to(folder)) for file in files)
    console.print(f"\n{len(files)} files in {folder}: {listed}")


def write_folder(
    selection: Selection, results: Results, folder: Path, date: str, drawings: Drawings = NONE_BEGUN
) -> Written:
    """Write a report folder without its HTML page."""
    from analysis.report import write_results

    sweep = selection.sweep
    return write_results(
        results,
        folder,
        date=date,
        title=sweep.title,
        reproduces=sweep.reproduces,
        commands=commands(selection),
        drawings=drawings,
    )


def write_page(folder: Path, sheets: Sequence[Sheet], store: Store, *, title: str, date: str) -> Path:
    """Write the HTML page of some sweeps."""
    from analysis.page.write import write_page as write_html

    return write_html(folder, sheets, store, title=title, date=date)


def commands(selection: Selection) -> Commands:
    """Command lines that repeat the sweep, and each of its runs."""
    sweep = ["--multirun", f"+sweep={selection.name}", *for_hydra(selection.given)]
    return Commands(_command(sweep), {run: _command(line) for run, line in selection.lines.items()})


def _command(arguments: Sequence[str]) -> str:
    """As a user types it: no plus before a setting, and on this machine."""
    plain = [argument.removeprefix("++") for argument in arguments if not argument.startswith("hydra")]
    return shlex.join(["python", "-m", "experiments.run", *plain])


def _findings(results: Results) -> list[RenderableType]:
    tables = [main_table(results), pooled_table(results)]
    parts: list[RenderableType] = [render.rich_renderable(table) for table in tables if table is not None]
    found = findings(results)
    if found:
        parts += [
            render.rich_renderable(findings_table(found, results.metrics[0])),
            summary_text(found, results.metrics[0]),
        ]
    note = design_note(results)
    return [*parts, f"\n{note}"] if note else parts
