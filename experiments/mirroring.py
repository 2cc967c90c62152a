"""What the commands add to the mirror to W&B: labels that a sweep's file gives, and one process for all runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments import sweeps
from experiments.plan import Task
from prefix_rft.errors import PrefixRftError
from prefix_rft.runs.identity import Kind
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.rollout_samples import ROLLOUT_SAMPLES_FILE
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.runs.tracking import INCOMPLETE, LOG_FILE, mirror_again, mirror_runs
from prefix_rft.runs.tracking_labels import FOLDER, LABELS_FILE, add_label
from prefix_rft.runs.tracking_position import POSITION_FILE
from prefix_rft.settings import RunConfig

_SOURCES = (METRICS_FILE, ROLLOUT_SAMPLES_FILE, f"{FOLDER}/{LABELS_FILE}")


def mirror_finished(store: Store, tasks: Sequence[Task]) -> None:
    """Mirror the runs whose tracking is offline and whose files are newer than their mirror.

    A mirror that fails costs nothing but itself: a line on standard error says so.
    """
    offline = [task for task in tasks if task.config.tracking.wandb == "offline"]
    for task in offline:
        if store.path(task.id).is_dir():
            label(store.open(task.id), task.config)
    mirror_behind(store, [store.path(task.id) for task in offline])


def tell_incomplete(runs: Iterable[RunDir]) -> None:
    """Say on standard error which of these runs, followed by mirrors of their own, are not wholly in W&B."""
    if behind := [run for run in runs if _was_cut_off(run)]:
        print(incomplete(behind), file=sys.stderr)


def incomplete(runs: Sequence[RunDir]) -> str:
    """A line that says so, and how to mirror the rest."""
    shown = ", ".join(run.id for run in runs)
    return (
        f"the mirror to W&B is incomplete ({shown}; why: {LOG_FILE} in the run's folder); nothing else is missing. "
        f"Mirror the rest: {mirror_again([run.path for run in runs])}"
    )


def _was_cut_off(run: RunDir) -> bool:
    """Whether the newest attempt's mirror failed."""
    told = [event["event"] for event in run.events() if event["event"] in ("attempt", INCOMPLETE)]
    return told[-1:] == [INCOMPLETE]


def mirror_behind(store: Store, paths: Sequence[Path]) -> bool:
    """Mirror those of these runs that nobody works on and whose files are newer than their mirror.

    Returns:
        Whether all of it worked.
    """
    behind = [path for path in paths if is_behind(path) and not is_locked(path)]
    if not behind:
        return True
    log = store.root / LOG_FILE
    with Console(stderr=True).status(f"mirroring {len(behind)} runs to W&B"):
        complete = mirror_runs(behind, log)
    if not complete:
        print(f"the mirror to W&B is not complete (log: {log}); nothing else is missing", file=sys.stderr)
    return complete


def label(run: RunDir, config: RunConfig, row: str | None = None) -> None:
    """Write down what a run is to the sweep that asks for it; a run that no sweep asks for needs no label.

    A label that cannot be written costs nothing but itself: a line on standard error says so.

    Args:
        run: the run.
        config: with the sweep's name.
        row: the run's row in the sweep's table, where it is known.
    """
    if config.sweep not in sweeps.names():
        return
    try:
        add_label(run.path, config.sweep, varied_tags(config, run.kind), row)
    except PrefixRftError as error:
        print(f"run {run.id} has no tags of {config.sweep} in W&B: {error}", file=sys.stderr)


def varied_tags(config: RunConfig, kind: Kind) -> tuple[str, ...]:
    """The settings that the run's sweep varies, as this run has them: seed=1, data.fraction=0.1.

    A base model has none of its method's or seed's: many runs share it.

    Raises:
        SettingsError: there is no such sweep.
    """
    sweep = sweeps.load(str(config.sweep)).at(config.scale)
    keys = dict.fromkeys([*(key for own in sweep.variants.values() for key in own), *sweep.vary])
    values = config.model_dump(mode="json")
    found = {key: _value(values, key.split(".")) for key in keys if kind == "train" or _of_base(key)}
    return tuple(f"{key}={_plain(value)}" for key, value in found.items() if value is not None)


def is_behind(run_path: Path) -> bool:
    """Whether the run has files that are newer than its mirror; one of the future says nothing of what came after."""
    position = run_path / FOLDER / POSITION_FILE
    mirrored = position.stat().st_mtime_ns if position.exists() else -1
    if mirrored > time.time_ns():
        return True
    return any(path.stat().st_mtime_ns > mirrored for path in _sources(run_path) if path.exists())


def _sources(run_path: Path) -> Iterator[Path]:
    yield from (run_path / name for name in _SOURCES)
    yield from (run_path / "eval").glob("*/*/scores.json")


def _of_base(key: str) -> bool:
    return key.partition(".")[0] in ("model", "data")


def _value(values: Any, path: Iterable[str]) -> Any:
    """A setting by its dotted name; a whole group is known by its name, and None where it has none."""
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values.get("name") if isinstance(values, Mapping) else values


def _plain(value: Any) -> str:
    """As on a command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
