"""`prefix-rft table` and `prefix-rft report`: what a sweep has found so far, on the terminal or as a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis import render
from analysis.design import design_note
from analysis.orderings import findings, findings_table, summary_text
from analysis.results import Results, load_results
from analysis.tables import main_table
from experiments import sweeps
from experiments.selection import table_cells
from prefix_rft.runs.store import Store


def table(sweep: str, overrides: Sequence[str], console: Console) -> int:
    """Print a sweep's table as it stands, with what it says about the published orderings."""
    config, cells = table_cells(sweep, overrides)
    show(load_results(Store(config.store), cells), sweeps.load(sweep).title, console)
    return 0


def show(results: Results, title: str, console: Console) -> None:
    """Print a table, its protocol, and which published orderings appear in it."""
    console.rule(title, align="left")
    console.print(render.rich_renderable(main_table(results)))
    found = findings(results)
    if found:
        console.print(render.rich_renderable(findings_table(found, results.metrics[0])))
        console.print(summary_text(found, results.metrics[0]))
    note = design_note(results)
    if note:
        console.print(f"\n{note}")


def report(sweep: str, overrides: Sequence[str], folder: Path, date: str, console: Console) -> int:
    """Write a sweep's report folder and list its files."""
    from analysis.report import write_report

    config, cells = table_cells(sweep, overrides)
    files = write_report(Store(config.store), folder, cells, date=date, title=sweeps.load(sweep).title)
    console.print(f"\n{len(files)} files in {folder}: {', '.join(str(f.relative_to(folder)) for f in files)}")
    return 0
