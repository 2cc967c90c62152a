"""Run cells as parallel processes on this machine: parents first, what is done skipped, failures isolated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from experiments.exits import CellsFailedError, CellsInterruptedError
from experiments.plan import Plan, plan
from experiments.progress import Display, Standing
from experiments.worker import LOCKED, Request, log_path
from prefix_rft.runs.identity import PlannedRun
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.markers import TRAIN, evaluation_stage
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.runs.tracking import LOG_FILE as WANDB_LOG
from prefix_rft.runs.tracking import mirror_runs
from prefix_rft.settings import LauncherSettings, RunConfig

_POLL_SECONDS = 0.1
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class Report:
    """How the cells ended."""

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
        if self.interrupted:
            raise CellsInterruptedError("stopped; the same command continues where it left off")
        if self.failures:
            lines = [f"  {run_id}: {why}" for run_id, why in self.failures.items()]
            total = len(self.plan.runs)
            raise CellsFailedError("\n".join([f"{len(lines)} of {total} runs failed:", *lines]))


def execute(configs: Sequence[RunConfig]) -> Report:
    """Train and evaluate every cell, each distinct run once.

    Args:
        configs: the cells; the first one's `store` and `launcher` hold for all.
    """
    executor = _Executor(plan(configs), Store(configs[0].store), configs[0].launcher)
    with executor.stop_on_signals():
        return executor.run()


def is_complete(run: RunDir, config: RunConfig) -> bool:
    """Whether a run is trained and evaluated as the configuration asks."""
    return run.stages.is_done(TRAIN) and all(
        run.stages.is_done(evaluation_stage(split, run.evaluation(split, config).name))
        for split in config.evaluation.splits
    )


class _Executor:
    def __init__(self, planned: Plan, store: Store, launcher: LauncherSettings) -> None:
        self.store, self.threads = store, launcher.threads
        self.slots = launcher.workers or max(1, len(os.sched_getaffinity(0)) // launcher.threads)
        self.report = Report(planned)
        self.runs = {run.identity.id: store.create(run.identity, run.config) for run in planned.runs}
        self.live: dict[str, subprocess.Popen[bytes]] = {}
        self.display = Display(planned, self.runs)

    def run(self) -> Report:
        """Start what is ready, until nothing is left or a stop was asked for."""
        self._note_done()
        with self.display:
            while self._unfinished() and not (self.report.interrupted and not self.live):
                self._collect()
                self._start_ready()
                self.display.refresh(self.standing())
                time.sleep(_POLL_SECONDS)
            self.display.refresh(self.standing(), final=True)
        self._mirror()
        return self.report

    def _mirror(self) -> None:
        """Mirror what this command trained to W&B's offline files, by one process."""
        offline = [
            self.runs[planned.identity.id].path
            for planned in self.report.plan.runs
            if planned.identity.id in self.report.touched and planned.config.tracking.wandb == "offline"
        ]
        if offline and not self.report.interrupted:
            mirror_runs(offline, self.store.root / WANDB_LOG)

    def standing(self) -> Standing:
        """Counts for the display."""
        return Standing(frozenset(self.report.done), frozenset(self.live), dict(self.report.failures))

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
        for process in self.live.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    def _note_done(self) -> None:
        for planned in self.report.plan.runs:
            if is_complete(self.runs[planned.identity.id], planned.config):
                self.report.done.add(planned.identity.id)

    def _unfinished(self) -> bool:
        return any(self._is_open(planned.identity.id) for planned in self.report.plan.runs)

    def _is_open(self, run_id: str) -> bool:
        return run_id not in self.report.done and run_id not in self.report.failures

    def _start_ready(self) -> None:
        for planned in self.report.plan.runs:
            run_id = planned.identity.id
            if self.report.interrupted or len(self.live) >= self.slots:
                return
            if self._is_open(run_id) and run_id not in self.live and self._parent_allows(planned):
                self._start(planned)

    def _parent_allows(self, planned: PlannedRun) -> bool:
        parent = planned.parent_id
        if parent is not None and parent in self.report.failures:
            self.report.failures[planned.identity.id] = f"not started: it needs run {parent}, which failed"
        return parent is None or self._is_trained(parent)

    def _is_trained(self, run_id: str) -> bool:
        return run_id in self.report.done or self.runs[run_id].stages.is_done(TRAIN)

    def _start(self, planned: PlannedRun) -> None:
        run = self.runs[planned.identity.id]
        if is_locked(run.path):
            return
        if is_complete(run, planned.config):
            self.report.done.add(run.id)
            return
        request = Request(run.id, planned.parent_id, planned.config)
        self.live[run.id] = _start_worker(run, request, self.threads)
        self.report.touched.add(run.id)

    def _collect(self) -> None:
        for run_id, process in list(self.live.items()):
            code = process.poll()
            if code is not None:
                del self.live[run_id]
                self._settle(run_id, code)

    def _settle(self, run_id: str, code: int) -> None:
        if code == 0:
            self.report.done.add(run_id)
        elif not (code == LOCKED or self.report.interrupted):
            self.report.failures[run_id] = _why(self.runs[run_id], code)


def _start_worker(run: RunDir, request: Request, threads: int) -> subprocess.Popen[bytes]:
    """A process of its own session: Ctrl-C reaches the launcher alone, which then asks each worker to leave."""
    with log_path(run).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.worker"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(threads),
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(request.to_json())
    process.stdin.close()
    return process


def _environment(threads: int) -> dict[str, str]:
    """This process's environment with the run's number of threads.

    glibc gives freed blocks above a threshold back to the kernel at once; a training step allocates the same blocks
    again and again, so the thresholds are raised, which changes speed only.
    """
    fixed = {name: str(threads) for name in _THREAD_VARIABLES}
    malloc = {
        "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
        "MALLOC_ARENA_MAX": "2",
    }
    return {**malloc, **os.environ, **fixed}


def _why(run: RunDir, code: int) -> str:
    state = run.state()
    if state.error is not None:
        return f"{state.error.type}: {state.error.message.splitlines()[0]} (log: {log_path(run)})"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}; the same command resumes it (log: {log_path(run)})"
    return f"ended with exit code {code} (log: {log_path(run)})"
