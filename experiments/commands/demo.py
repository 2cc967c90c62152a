"""`prefix-rft demo`: the paper's main table at toy scale, from nothing to a report folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis.results import load_results
from experiments import sweeps
from experiments.commands.report import report, show
from experiments.selection import cells_of, table_cells
from prefix_rft.runs.store import Store

SWEEP = "main_results"


def demo(overrides: Sequence[str], folder: Path, date: str, console: Console) -> int:
    """Train what is missing, print the table, write the report."""
    from experiments.execute import execute

    started = time.monotonic()
    configs = cells_of(SWEEP, overrides)
    outcome = execute(configs)
    config, cells = table_cells(SWEEP, overrides)
    show(load_results(Store(config.store), cells), sweeps.load(SWEEP).title, console)
    report(SWEEP, overrides, folder, date, console)
    console.print(f"{len(outcome.touched)} runs worked on, {time.monotonic() - started:.0f} s")
    outcome.raise_for_failures()
    return 0
