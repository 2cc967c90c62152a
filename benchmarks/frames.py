"""Seconds until the frames of a store are there: at first, again, and after ten runs have changed.

    python -m benchmarks.frames --runs 100 500 2000

Every load is a process of its own, and its file system is warm; `import` is the import of pandas and the like, which
comes on top. The three are measured in turn; the table's numbers are medians.
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
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from analysis.cache import FOLDER
from benchmarks import machine
from benchmarks.frames_store import STEPS, append_row, grow
from prefix_rft.runs.store import Store

RESULTS = Path(__file__).parent / "results"
CHANGED = 10
SETTLE_SECONDS = 2.5
"""What has changed since is read every time, and not kept."""
LOAD = """
import json, resource, sys, time
began = time.perf_counter()
from analysis.results import frames
from prefix_rft.runs.store import Store
imported = time.perf_counter()
found = frames(Store(sys.argv[1]), cache=sys.argv[2] == "cache")
loaded = time.perf_counter()
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "imports": imported - began, "wall": loaded - imported, "cpu": usage.ru_utime + usage.ru_stime,
    "peak_mb": usage.ru_maxrss / 1024, "rows": [len(found.runs), len(found.curves), len(found.scores)],
}))
"""


@dataclass(frozen=True)
class Row:
    """Several loads of one kind."""

    runs: int
    load: str
    """without (no cache asked for), first, again, or changed (after ten runs have changed)."""
    wall: float
    """Seconds of the load, without imports."""
    lowest: float
    highest: float
    imports: float
    """Seconds of the imports."""
    cpu: float
    """Processor seconds of the whole process."""
    peak_mb: float
    """Peak of resident memory."""
    repeats: int


def measure(store: Store, repeats: int) -> list[Row]:
    """Every kind of load in turn."""
    found: dict[str, list[dict[str, Any]]] = {}
    runs = store.runs()
    for repeat in range(repeats):
        shutil.rmtree(store.root / FOLDER, ignore_errors=True)
        found.setdefault("without", []).append(_load(store, "no cache"))
        found.setdefault("first", []).append(_load(store))
        found.setdefault("again", []).append(_load(store))
        for run in random.Random(repeat).sample(runs, CHANGED):
            append_row(run, STEPS + repeat + 1)
        time.sleep(SETTLE_SECONDS)
        found.setdefault("changed", []).append(_load(store))
        found["again"].append(_load(store))
    return [_row(len(runs), name, loads) for name, loads in found.items()]


def _load(store: Store, cache: str = "cache") -> dict[str, Any]:
    command = [sys.executable, "-c", LOAD, os.fspath(store.root), cache]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _row(runs: int, name: str, loads: list[dict[str, Any]]) -> Row:
    walls = [load["wall"] for load in loads]
    medians = {key: statistics.median(load[key] for load in loads) for key in ("imports", "cpu", "peak_mb")}
    return Row(runs, name, statistics.median(walls), min(walls), max(walls), **medians, repeats=len(loads))


def table(rows: list[Row]) -> str:
    """The rows as text."""
    head = f"{'runs':>6} {'load':8} {'s':>7} {'lowest':>7} {'highest':>7} {'imports':>8} {'cpu s':>7}"
    lines = [f"{head} {'peak MB':>8} {'n':>3}"]
    lines += [
        f"{row.runs:6} {row.load:8} {row.wall:7.2f} {row.lowest:7.2f} {row.highest:7.2f} {row.imports:8.2f} "
        f"{row.cpu:7.2f} {row.peak_mb:8.0f} {row.repeats:3}"
        for row in rows
    ]
    return "\n".join(lines)


def report(rows: list[Row], load: float) -> dict[str, Any]:
    """What a result file holds."""
    return {
        "benchmark": "frames",
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"processor": machine.processor(), "cores": machine.cores(), "load": load},
        "versions": {name: version(name) for name in ("pandas", "pyarrow")},
        "work": {"lines_a_run": STEPS, "changed": CHANGED},
        "rows": [asdict(row) for row in rows],
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--runs", type=int, nargs="+", default=[100, 500, 2000])
    found.add_argument("--repeats", type=int, default=3)
    found.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON file")
    return found


def main(arguments: list[str] | None = None) -> None:
    asked = parser().parse_args(arguments)
    rows, load = [], os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "runs")
        for runs in sorted(asked.runs):
            grow(store, runs, Path(folder))
            time.sleep(SETTLE_SECONDS)
            rows += measure(store, asked.repeats)
    print(table(rows))
    asked.results.mkdir(parents=True, exist_ok=True)
    file = asked.results / f"{time.strftime('%Y-%m-%d')}-frames-{machine.label()}.json"
    file.write_text(json.dumps(report(rows, load), indent=2) + "\n")
    print(f"written to {file}")


if __name__ == "__main__":
    main()
