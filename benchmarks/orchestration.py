"""What commands over many cells take: compose, plan, submit, status, results frame, report; seconds, memory, growth.

    python -m benchmarks.orchestration --cells 10 100 1000 10000

Every command is a process of its own, which states its peak memory; what its imports take is shown beside its seconds.
The jobs go to programs that answer as SLURM's do and cost nothing (`benchmarks.orchestration_cluster`), so that a
submission's seconds are ours. The runs are then finished without training. `growth` is the exponent between a size and
the one before: 1 is linear. Imports are no part of it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.measured import Measured
from benchmarks.orchestration_cluster import install, jobs
from benchmarks.orchestration_step import CLUSTER
from benchmarks.orchestration_sweep import Grid

NAME = "orchestration"
SMALL = {"cells": [4], "settle": 0.0}
QUEUED = ("compose", "plan", "submit", "submit again", "status, queued")
FINISHED = ("status, finished", "frames, first", "frames, again", "report, first", "report, again")
FINISH = "finish"
MOST_GROWTH = 1.2
"""Exponent from which a note says that a step is not linear."""
_PROFILE = "resources: {partition: low, cpus: 1, minutes: 30}\n"
_JOBS_OF_A_RUN = 2
Row = dict[str, Any]


def measure(asked: argparse.Namespace) -> Measured:
    """Every command at every size, each size in a store of its own."""
    if asked.small:
        vars(asked).update(SMALL)
    rows: list[Row] = []
    for cells in sorted(asked.cells):
        with tempfile.TemporaryDirectory() as folder:
            for row in _of_size(cells, Path(folder), asked.settle):
                rows.append(row)
                print(
                    f"  {row['cells']:>6} {row['step']:<16} {row['seconds']:.1f} s",
                    file=sys.stderr,
                    flush=True,
                )
    grown = [row | growth(row, rows) for row in rows]
    return Measured(grown, notes=list(_notes(grown)))


def growth(row: Row, rows: Sequence[Row]) -> Row:
    """Exponents of seconds and of memory from the next smaller size to this one; None at the smallest."""
    smaller = [other for other in rows if other["step"] == row["step"] and other["cells"] < row["cells"]]
    if not smaller:
        return {"growth": None, "memory_growth": None}
    before = max(smaller, key=lambda other: int(other["cells"]))
    return {
        "growth": _exponent(row, before, "seconds"),
        "memory_growth": _exponent(row, before, "peak_mb"),
    }


def _exponent(row: Row, before: Row, what: str) -> float:
    return math.log(row[what] / before[what]) / math.log(row["cells"] / before["cells"])


def _of_size(cells: int, folder: Path, settle: float) -> Iterator[Row]:
    programs = install(folder / "bin")
    (folder / CLUSTER).write_text(_PROFILE)
    for name in QUEUED:
        yield _step(name, cells, folder)
    runs = cells + 1
    if len(jobs(programs)) < _JOBS_OF_A_RUN * runs:
        raise RuntimeError(
            f"{cells} cells were submitted as {len(jobs(programs))} jobs, not {_JOBS_OF_A_RUN * runs}"
        )
    _run(FINISH, cells, folder)
    # A file that has changed a moment ago is read every time, and not kept.
    time.sleep(settle)
    for name in FINISHED:
        yield _step(name, cells, folder)


def _step(name: str, cells: int, folder: Path) -> Row:
    """A row; which of its kind a step is stands after its name."""
    return {"cells": cells, "step": name} | _run(name.partition(",")[0].removesuffix(" again"), cells, folder)


def _run(step: str, cells: int, folder: Path) -> Row:
    command = [sys.executable, "-m", "benchmarks.orchestration_step", step, str(cells), str(folder)]
    environment = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{step} of {cells} cells ended with {done.returncode}: {done.stderr[-2000:]}")
    found: Row = json.loads(done.stdout.splitlines()[-1])
    return found


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    largest = max(row["cells"] for row in rows)
    grid = Grid(largest)
    yield (
        f"{largest} cells are {grid.rows} rows of {grid.seeds} seeds; the jobs go to stand-ins for SLURM's programs; "
        "the report is that of one sweep with all its tables, figures and runs."
    )
    for row in rows:
        if row["growth"] is not None and row["cells"] == largest and row["growth"] > MOST_GROWTH:
            yield f"Not linear: {row['step']} grows with the power {row['growth']:.2f} of the cells."


def table(measured: Measured) -> str:
    """The rows as text."""
    head = f"{'cells':>6} {'step':16} {'s':>8} {'imports':>8} {'cpu s':>8} {'peak MB':>8} {'growth':>7} {'of MB':>6}"
    return "\n".join([head, *map(_line, measured.rows)])


def _line(row: Row) -> str:
    seconds, memory = (
        "" if row[name] is None else f"{row[name]:.2f}" for name in ("growth", "memory_growth")
    )
    return (
        f"{row['cells']:6} {row['step']:16} {row['seconds']:8.2f} {row['imports']:8.2f} {row['cpu']:8.2f} "
        f"{row['peak_mb']:8.0f} {seconds:>7} {memory:>6}"
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = harness.parser(__doc__)
    found.add_argument(
        "--cells", type=int, nargs="+", default=[10, 100, 1000, 10000], help="even numbers of cells"
    )
    found.add_argument("--settle", type=float, default=2.5, help="seconds before what was written is read")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and keep."""
    harness.alone(NAME, parser(), measure, table, arguments)


if __name__ == "__main__":
    main()
