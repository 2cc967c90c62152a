"""Run cells as parallel processes on this machine: parents first, what is done skipped, failures isolated."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import FrameType

from experiments.exits import CellsFailedError, CellsInterruptedError
from experiments.mirroring import mirror_finished, tell_incomplete
from experiments.plan import Plan, Task, plan
from experiments.processes import Nursery, Worker, why_it_ended
from experiments.progress import Display, Standing
from experiments.worker import INTERRUPTED, LOCKED, is_evaluated, log_path
from prefix_rft.errors import PrefixRftError, SettingsError
from prefix_rft.runs.atomic import refused
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.markers import TRAIN
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import LauncherSettings, RunConfig

_POLL_SECONDS = 0.1
_STOPPED = (INTERRUPTED, -signal.SIGTERM)
"""How a worker ends that was asked to: after it saved, or before it had begun."""


@dataclass
class Report:
    """How the runs ended."""

    plan: Plan
    done: set[str] = field(default_factory=set)
    """Ids of the runs that are done, those included that were done before."""
    touched: set[str] = field(default_factory=set)
    """Ids of the runs that a process worked on this time."""
    failures: dict[str, str] = field(default_factory=dict)
    """Run id -> why."""
    interrupted: bool = False

    def raise_for_failures(self) -> None:
        """Raise what the exit code stands for, if anything.

        Raises:
            CellsInterruptedError: the command was stopped.
            CellsFailedError: a run failed.
        """
        lines = [f"  {run_id}: {why}" for run_id, why in self.failures.items()]
        failed = "\n".join([f"{len(lines)} of {len(self.plan.tasks)} runs failed:", *lines]) if lines else ""
        if self.interrupted:
            stopped = "stopped; the same command continues where it left off"
            raise CellsInterruptedError(f"{failed}\n{stopped}" if failed else stopped)
        if failed:
            raise CellsFailedError(failed)


def execute(configs: Sequence[RunConfig]) -> Report:
    """Train and evaluate every cell, each distinct run once.

    Args:
        configs: the cells; all of one store and one launcher.

    Raises:
        SettingsError: the cells differ in store or launcher.
        DataError: a file that counts for a run's identity cannot be read.
    """
    store, launcher = shared(configs)
    executor = _Executor(plan(configs), store, launcher)
    with executor.stop_on_signals():
        try:
            report = executor.run()
        finally:
            executor.nursery.close()
        tell_incomplete(executor.runs[run_id] for run_id in sorted(report.touched))
        if not report.interrupted:
            mirror_finished(store, [task for task in report.plan.tasks if task.id in report.done])
    return report


def is_complete(run: RunDir, task: Task) -> bool:
    """Whether a run is trained, and evaluated as everybody asks.

    Raises:
        RunError: a marker of it is damaged.
    """
    return run.stages.is_done(TRAIN) and is_evaluated(run, task.asked)


def shared(configs: Sequence[RunConfig]) -> tuple[Store, LauncherSettings]:
    """What the cells of one command have in common.

    Raises:
        SettingsError: they differ in it.
    """
    first = configs[0]
    for name in ("store", "launcher"):
        if any(getattr(config, name) != getattr(first, name) for config in configs):
            raise SettingsError(
                f"the cells of one command share their {name}; vary it from command to command"
            )
    return Store(first.store), first.launcher


def _must_take_a_log(run: RunDir) -> None:
    """Refuse a folder that cannot be written here, in words: its run could tell nobody.

    Raises:
        RunError: a log can neither be made nor added to.
    """
    path = log_path(run)
    try:
        path.open("ab").close()
    except OSError as error:
        raise refused(path, error) from error


class _Executor:
    def __init__(self, planned: Plan, store: Store, launcher: LauncherSettings) -> None:
        self.store = store
        self.slots = launcher.workers or max(1, len(os.sched_getaffinity(0)) // launcher.threads)
        self.report = Report(planned)
        self.runs: dict[str, RunDir] = {}
        self.live: dict[str, Worker] = {}
        self.nursery = Nursery(launcher.threads)
        self.told_to_stop: set[str] = set()

    def run(self) -> Report:
        """Start what is ready, until nothing is left or a stop was asked for."""
        for task in self.report.plan.tasks:
            with self._failing(task):
                self._open(task)
        with Display(self.report.plan, self.runs, self.slots) as display:
            while self._unfinished() and not (self.report.interrupted and not self.live):
                self._collect()
                self._start_ready()
                self._stop_live()
                display.refresh(self._standing())
                time.sleep(_POLL_SECONDS)
            display.close(self._standing())
        return self.report

    @contextmanager
    def stop_on_signals(self) -> Iterator[None]:
        """While it lasts, SIGINT and SIGTERM make every live run save and leave."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.report.interrupted = True

    def _stop_live(self) -> None:
        """After a stop was asked for, ask each worker once: also one that was being started at that moment."""
        for run_id, process in self.live.items():
            if self.report.interrupted and run_id not in self.told_to_stop and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                self.told_to_stop.add(run_id)

    @contextmanager
    def _failing(self, task: Task) -> Iterator[None]:
        """A run whose directory cannot be used fails by itself."""
        try:
            yield
        except (PrefixRftError, OSError) as error:
            self.report.failures[task.id] = f"{type(error).__name__}: {error}"

    def _open(self, task: Task) -> None:
        self.runs[task.id] = run = self.store.create(task.run.identity, task.config)
        if is_complete(run, task):
            self.report.done.add(task.id)

    def _standing(self) -> Standing:
        report = self.report
        return Standing(report.done, self.live.keys(), report.failures, stopping=report.interrupted)

    def _unfinished(self) -> bool:
        return any(self._is_open(task.id) for task in self.report.plan.tasks)

    def _is_open(self, run_id: str) -> bool:
        return run_id not in self.report.done and run_id not in self.report.failures

    def _start_ready(self) -> None:
        trained = cache(self._is_trained)  # A parent's markers are read once, however many runs wait for it.
        for task in self.report.plan.tasks:
            if self.report.interrupted or len(self.live) >= self.slots:
                return
            if self._is_open(task.id) and task.id not in self.live:
                with self._failing(task):
                    self._start_if_ready(task, trained)

    def _start_if_ready(self, task: Task, trained: Callable[[str], bool]) -> None:
        parent, run = task.run.parent_id, self.runs[task.id]
        if parent is not None and not trained(parent):
            if parent in self.report.failures:
                self.report.failures[task.id] = f"not started: it needs run {parent}, which failed"
        elif is_locked(run.path):
            pass  # another command works on it; this one waits for the result
        elif is_complete(run, task):
            self.report.done.add(task.id)
        else:
            _must_take_a_log(run)
            self.live[task.id] = self.nursery.start(run, task)

    def _is_trained(self, run_id: str) -> bool:
        return run_id in self.runs and (run_id in self.report.done or self.runs[run_id].stages.is_done(TRAIN))

    def _collect(self) -> None:
        for run_id, process in list(self.live.items()):
            code = process.poll()
            if code is not None:
                del self.live[run_id]
                self._settle(run_id, code)

    def _settle(self, run_id: str, code: int) -> None:
        if code == LOCKED:
            return
        self.report.touched.add(run_id)
        if code == 0:
            self.report.done.add(run_id)
        elif not (self.report.interrupted and code in _STOPPED):
            self.report.failures[run_id] = why_it_ended(self.runs[run_id], code)
