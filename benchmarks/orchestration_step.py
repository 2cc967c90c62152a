"""One step of orchestration in a process of its own: `python -m benchmarks.orchestration_step STEP CELLS FOLDER`.

The step is what a command does, or the command itself; the last line of standard output says what it took, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.orchestration_sweep import SWEEP, Grid

BEGAN = time.perf_counter()
DATE = "2026-01-01"
WIDTH = 160
CLUSTER = "cluster.yaml"
Step = Callable[[], int]


def store_of(folder: Path) -> Path:
    """Where the runs are."""
    return folder / "runs"


def _compose(grid: Grid, folder: Path) -> Step:
    """From the sweep to the typed configuration of every cell."""
    from experiments import sweeps
    from experiments.compose import compose_all
    from experiments.grid import expand

    def compose() -> int:
        cells = expand(sweeps.load(SWEEP), grid.overrides(store_of(folder))).cells
        return len(compose_all([cell.overrides for cell in cells]))

    return compose


def _plan(grid: Grid, folder: Path) -> Step:
    """`prefix-rft plan`."""
    from experiments.commands.plan import plan

    return lambda: plan([SWEEP], grid.overrides(store_of(folder)), _console())


def _submit(grid: Grid, folder: Path) -> Step:
    """`python -m experiments.run --multirun +sweep=... hydra/launcher=slurm cluster=...`."""
    from experiments import run

    given = [f"+sweep={SWEEP}", "hydra/launcher=slurm", f"cluster={folder / CLUSTER}"]
    sys.argv[1:] = ["--multirun", *given, *grid.overrides(store_of(folder))]
    return lambda: run.main() or 0


def _status(grid: Grid, folder: Path) -> Step:
    """`prefix-rft status`."""
    from experiments.commands.slurm_jobs import status
    from prefix_rft.runs.store import Store

    return lambda: status(Store(store_of(folder)), _console())


def _frames(grid: Grid, folder: Path) -> Step:
    """`analysis.results.frames`."""
    from analysis.results import frames
    from prefix_rft.runs.store import Store

    return lambda: len(frames(Store(store_of(folder))).runs)


def _report(grid: Grid, folder: Path) -> Step:
    """`prefix-rft report`."""
    from experiments.commands.report import report

    return lambda: report(SWEEP, grid.overrides(store_of(folder)), folder / "report", DATE, _console())


def _finish(grid: Grid, folder: Path) -> Step:
    """No command: makes of submitted runs finished ones."""
    from benchmarks.orchestration_cluster import empty
    from benchmarks.orchestration_store import finish
    from prefix_rft.runs.store import Store

    def finished() -> int:
        empty(folder / "bin")
        return finish(Store(store_of(folder)), folder / "patterns")

    return finished


STEPS: dict[str, Callable[[Grid, Path], Step]] = {
    "compose": _compose,
    "plan": _plan,
    "submit": _submit,
    "status": _status,
    "frames": _frames,
    "report": _report,
    "finish": _finish,
}


def _console() -> Any:
    from rich.console import Console

    return Console(width=WIDTH)


def peak_mb() -> float:
    """Largest resident memory of this process since it began: not of the one that started it, as rusage has it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> int:
    name, cells, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    with contextlib.redirect_stdout(sys.stderr):
        step = STEPS[name](Grid(cells), folder)
        ready = time.perf_counter()
        gave = step()
        done = time.perf_counter()
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(
        json.dumps(
            {
                "seconds": done - ready,
                "imports": ready - BEGAN,
                "cpu": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
                "peak_mb": peak_mb(),
                "gave": gave,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
