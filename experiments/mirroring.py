"""The mirror to W&B's offline files, made by one process after a command's runs are over."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.plan import Task
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.mirror import FOLDER, POSITION_FILE
from prefix_rft.runs.store import Store
from prefix_rft.runs.tracking import LOG_FILE, mirror_runs


def mirror_finished(store: Store, tasks: Sequence[Task]) -> None:
    """Mirror the runs whose tracking is offline and whose metrics are newer than their mirror.

    A mirror that fails costs nothing but itself: a line on standard error says so.
    """
    paths = [store.path(task.id) for task in tasks if task.config.tracking.wandb == "offline"]
    behind = [path for path in paths if _is_behind(path)]
    if not behind:
        return
    log = store.root / LOG_FILE
    with Console(stderr=True).status(f"mirroring {len(behind)} runs to W&B's offline files"):
        complete = mirror_runs(behind, log)
    if not complete:
        print(f"the mirror to W&B is not complete (log: {log}); nothing else is missing", file=sys.stderr)


def _is_behind(run_path: Path) -> bool:
    metrics, position = run_path / METRICS_FILE, run_path / FOLDER / POSITION_FILE
    if not metrics.exists():
        return False
    return not position.exists() or position.stat().st_mtime_ns < metrics.stat().st_mtime_ns
