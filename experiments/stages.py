"""The training stage of one run, skipped where it is done; `experiments.evaluating` has what comes after it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from experiments.mirroring import incomplete, label
from prefix_rft.errors import RunError
from prefix_rft.local.policy import find_device
from prefix_rft.local.trainer import Progress
from prefix_rft.runs.checkpoint import latest_checkpoint, verify
from prefix_rft.runs.markers import TRAIN
from prefix_rft.runs.provenance import write_provenance
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.runs.tracking import start_mirror
from prefix_rft.settings import LocalBackend, PretrainedModel, RunConfig, base_backend
from prefix_rft.stop import StopFlag

READ = "read data"
"""The stage shown while the training questions of a large data set become tokens."""


def record_provenance(run: RunDir, command: Sequence[str]) -> None:
    """Write down commit, versions, machine and command of this attempt."""
    write_provenance(run.path, command or None)


@contextmanager
def mirrored(run: RunDir, config: RunConfig) -> Iterator[None]:
    """While it lasts, a process of its own mirrors the run's metrics to W&B, where they should be seen live.

    Offline nobody watches: the launcher then mirrors all its runs at once when they are over.
    """
    if config.tracking.wandb != "online":
        yield
        return
    label(run, config)
    mirror = start_mirror(run.path, config.tracking)
    try:
        yield
    finally:
        if mirror is not None and not mirror.finish():
            print(incomplete([run]), file=sys.stderr)


def train(run: RunDir, config: RunConfig, parent_id: str | None, state: StateWriter, stop: StopFlag) -> None:
    """Train the run, or make the base model, unless that is done."""
    if run.stages.is_done(TRAIN):
        return
    state.running(TRAIN)
    if run.kind == "base":
        from prefix_rft.local.base import make_base

        find_device(base_backend(config.backend).device)
        step = make_base(config, run, stop=stop, progress=state.progress)
    else:
        begin = _trainer_of(config)
        start = starting_model(config, parent_id)
        step = begin(config, run, start, stop=stop, progress=state.progress, reading=_Reading(state))
    run.stages.mark_done(TRAIN, step=step)


class _Trains(Protocol):
    """Trains a run to its last step, whose checkpoint then exists; either backend has one."""

    def __call__(
        self,
        config: RunConfig,
        run: RunDir,
        start: Path | str,
        *,
        stop: StopFlag,
        progress: Progress,
        reading: Progress | None = None,
    ) -> int: ...


def _trainer_of(config: RunConfig) -> _Trains:
    """The backend's trainer; what it cannot run on is refused at once, not after a model was downloaded."""
    if isinstance(config.backend, LocalBackend):
        from prefix_rft.local import trainer

        find_device(config.backend.device)
        return trainer.train
    from prefix_rft.verl_backend import launch
    from prefix_rft.verl_backend.guard import check_devices, check_versions

    check_versions()
    check_devices(config.backend)
    return launch.train


class _Reading:
    """Shows as a stage of its own that a large data set is being read; a small one is read in no time."""

    _UNSEEN_SECONDS = 2.0

    def __init__(self, state: StateWriter) -> None:
        self._state, self._began, self._shown = state, time.monotonic(), False

    def __call__(self, step: int, total_steps: int) -> None:
        late = time.monotonic() - self._began > self._UNSEEN_SECONDS
        if late and not self._shown and step < total_steps:
            self._state.running(READ, total_steps=total_steps)
            self._shown = True
        if self._shown:
            self._state.progress(step, total_steps)
            if step == total_steps:
                self._state.running(TRAIN)


def starting_model(config: RunConfig, parent_id: str | None) -> Path | str:
    """Folder or hub name of the model that training starts from.

    Raises:
        RunError: the parent run has no checkpoint.
    """
    if parent_id is None:
        assert isinstance(config.model, PretrainedModel)
        return config.model.path
    parent = Store(config.store).open(parent_id)
    if not parent.stages.is_done(TRAIN):
        raise RunError(f"run {parent_id}, which this run starts from: {parent.stages.why_not_done(TRAIN)}")
    return trained_model(parent)


def trained_model(run: RunDir) -> Path:
    """Folder of the run's last checkpoint, verified."""
    # By the marker: a listing on a shared file system can lag behind, and lack the newest.
    last = run.stages.trained() or latest_checkpoint(run.path)
    if last is None:
        raise RunError(f"run {run.id} has no checkpoint; train it first")
    verify(last)
    return last.path
