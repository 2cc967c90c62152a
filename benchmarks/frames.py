"""Seconds until the frames of a store are there: at first, again, and after ten runs have changed.

    python -m benchmarks.frames --runs 100 500 2000

Every load is a process of its own, and its file system is warm; `imports` is the import of pandas and the like, which
comes on top. The kinds of load are measured in turn; figures are medians of the repetitions, and a ratio is the median
of the repetitions' ratios: what a load takes without the cache over what it takes with it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.cache import FOLDER
from benchmarks import harness
from benchmarks.frames_store import STEPS, append_row, grow
from benchmarks.measured import Measured, Ratio
from prefix_rft.runs.store import Store

NAME = "frames"
WITHOUT, FIRST, AGAIN, CHANGED = "without", "first", "again", "changed"
"""No cache asked for; a cache that is made; one in which nothing has changed; one after some runs have changed."""
PEER = "the same without a cache"
SMALL = {"runs": [3], "repetitions": 1, "changed": 2, "settle": 0.0}
Load = dict[str, Any]
LOAD = """
import json, resource, sys, time
began = time.perf_counter()
from analysis.results import frames
from prefix_rft.runs.store import Store
imported = time.perf_counter()
found = frames(Store(sys.argv[1]), cache=sys.argv[2] == "cache")
loaded = time.perf_counter()
usage = resource.getrusage(resource.RUSAGE_SELF)
from benchmarks.machine import peak_mb
print(json.dumps({
    "imports": imported - began, "wall": loaded - imported, "cpu": usage.ru_utime + usage.ru_stime,
    "peak_mb": peak_mb(), "rows": [len(found.runs), len(found.curves), len(found.scores)],
}))
"""


def measure(asked: argparse.Namespace) -> Measured:
    """Every kind of load in turn, for every number of runs."""
    if asked.small:
        vars(asked).update(SMALL)
    rows: list[dict[str, Any]] = []
    ratios: list[Ratio] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "runs")
        for runs in sorted(asked.runs):
            grow(store, runs, Path(folder))
            time.sleep(asked.settle)
            loads = [_repetition(store, number, asked) for number in range(asked.repetitions)]
            rows += [_row(runs, kind, [load[kind] for load in loads]) for kind in loads[0]]
            ratios += [_ratio(runs, kind, loads) for kind in (FIRST, AGAIN, CHANGED)]
    return Measured(rows, ratios)


def _repetition(store: Store, number: int, asked: argparse.Namespace) -> dict[str, Load]:
    """Every kind of load once."""
    shutil.rmtree(store.root / FOLDER, ignore_errors=True)
    found = {WITHOUT: _load(store, "no cache"), FIRST: _load(store), AGAIN: _load(store)}
    for run in random.Random(number).sample(store.runs(), asked.changed):
        append_row(run, STEPS + number + 1)
    # A file that has changed a moment ago is read every time, and not kept.
    time.sleep(asked.settle)
    return found | {CHANGED: _load(store)}


def _load(store: Store, cache: str = "cache") -> Load:
    command = [sys.executable, "-c", LOAD, os.fspath(store.root), cache]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Load = json.loads(done.stdout)
    return found


def _row(runs: int, kind: str, loads: Sequence[Load]) -> dict[str, Any]:
    walls = [load["wall"] for load in loads]
    return {
        "runs": runs, "load": kind, "repetitions": len(loads),
        "wall": statistics.median(walls), "low": min(walls), "high": max(walls),
        **{key: statistics.median(load[key] for load in loads) for key in ("imports", "cpu", "peak_mb")},
    }  # fmt: skip


def _ratio(runs: int, kind: str, loads: Sequence[dict[str, Load]]) -> Ratio:
    values = [load[WITHOUT]["wall"] / load[kind]["wall"] for load in loads]
    return Ratio.of(f"seconds without a cache over those of `{kind}`", PEER, {"runs": runs}, values)


def table(measured: Measured) -> str:
    """The rows as text."""
    head = f"{'runs':>6} {'load':8} {'s':>7} {'low':>7} {'high':>7} {'imports':>8} {'cpu s':>7}"
    lines = [f"{head} {'peak MB':>8} {'n':>3}"]
    lines += [
        f"{row['runs']:6} {row['load']:8} {row['wall']:7.2f} {row['low']:7.2f} {row['high']:7.2f} "
        f"{row['imports']:8.2f} {row['cpu']:7.2f} {row['peak_mb']:8.0f} {row['repetitions']:3}"
        for row in measured.rows
    ]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = harness.parser(__doc__)
    found.add_argument("--runs", type=int, nargs="+", default=[100, 500, 2000])
    found.add_argument("--repetitions", type=int, default=5)
    found.add_argument("--changed", type=int, default=10, help="runs that get a line more")
    found.add_argument(
        "--settle", type=float, default=2.5, help="seconds after a change until it may be kept"
    )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    harness.alone(NAME, parser(), measure, table, arguments)


if __name__ == "__main__":
    main()
