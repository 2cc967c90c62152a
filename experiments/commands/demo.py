"""`prefix-rft demo`: the paper's main question at toy scale, from nothing to a report folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.commands.report import load, show, write
from experiments.execute import execute
from experiments.selection import select

SWEEP = "main_results"
METHODS = "method=sft,rft,sft_rft,prefix_rft"
"""The rows that a first look needs; `prefix-rft reproduce` adds the other methods."""


def demo(overrides: Sequence[str], folder: Path, date: str, console: Console) -> int:
    """Train what is missing, print the table, write the report."""
    started = time.monotonic()
    selection = select(SWEEP, [METHODS, *overrides])
    outcome = execute(selection.configs)
    if outcome.interrupted:
        outcome.raise_for_failures()
    results = load(selection)
    show(selection, results, console)
    write(selection, results, folder, date, console)
    console.print(f"{len(outcome.touched)} runs worked on, {time.monotonic() - started:.0f} s")
    outcome.raise_for_failures()
    return 0
