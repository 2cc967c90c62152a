"""`wait=true`: shows the submitted runs live until they are over, and submits those that found no room."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

from experiments.cluster.launch import Asked, Results, Submission, book, submit_tasks
from experiments.cluster.requests import EVALUATE, TRAIN
from experiments.execute import Report
from experiments.plan import Plan, plan
from experiments.progress import Display
from experiments.progress import Standing as Shown
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig
from slurm.book import Key
from slurm.commands import Slurm
from slurm.standing import Standing, standings

_ASK_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_REFILL_SECONDS = 60.0
"""Between two looks for room in the queue where nothing of ours has ended: others' jobs end too."""


def follow(
    configs: Sequence[RunConfig], asked: Asked, submission: Submission, slurm: Slurm | None = None
) -> Report:
    """Show the runs until nothing of them is in the queue; what the report says of failures is for the caller.

    Leaving early (Ctrl-C) ends nothing: the jobs go on.
    """
    planned, store, slurm = plan(configs), Store(configs[0].store), slurm or Slurm()
    refill = _Refill(store, asked, slurm, submission)
    runs = {task.id: RunDir(store.path(task.id)) for task in planned.tasks}
    with Display(planned, runs, max(1, len(runs))) as display:
        while True:
            is_done = Results(store, planned.tasks)
            found = standings(slurm, book(store), is_done)
            shown = _shown(planned, found, is_done, refill.left)
            left_undone = _left_undone(store, submission.held, shown)
            shown = replace(shown, failures={**shown.failures, **left_undone})
            display.refresh(shown)
            if len(shown.done) + len(shown.failures) == len(planned.tasks):
                break
            if not refill.some(shown):
                _look_on(display, shown)
        display.close(shown)
    return Report(planned, set(shown.done), set(), dict(shown.failures))


class _Refill:
    """Submits the runs that found no room, as others end; never again what was submitted and failed."""

    def __init__(self, store: Store, asked: Asked, slurm: Slurm, submission: Submission) -> None:
        self._store, self._asked, self._slurm = store, asked, slurm
        self._tasks = submission.plan
        self.left = {cell for cell, _ in submission.outcome.left}
        """Runs that are not submitted yet."""
        self._over, self._next = -1, 0.0

    def some(self, shown: Shown) -> bool:
        """Submit what there is room for now, where something ended since the last time; whether anything was."""
        over = len(shown.done) + len(shown.failures)
        tasks = [task for task in self._tasks if task.id not in shown.failures]
        if self.left <= shown.failures.keys() or (over == self._over and time.monotonic() < self._next):
            return False
        self._over, self._next = over, time.monotonic() + _REFILL_SECONDS
        submission = submit_tasks(self._store, tasks, self._asked, self._slurm)
        self.left = {cell for cell, _ in submission.outcome.left}
        return bool(submission.outcome.submitted)


def _look_on(display: Display, shown: Shown) -> None:
    """SLURM is asked every few seconds; what the runs write is looked at more often."""
    until = time.monotonic() + _ASK_SECONDS
    while time.monotonic() < until:
        display.refresh(shown)
        time.sleep(_LOOK_SECONDS)


def _shown(planned: Plan, found: dict[Key, Standing], is_done: Results, left: Collection[str]) -> Shown:
    done, live, failures = set[str](), set[str](), dict[str, str]()
    for task in planned.tasks:
        stages = [found.get((task.id, stage)) for stage in (TRAIN, EVALUATE)]
        known = [standing for standing in stages if standing is not None]
        if is_done((task.id, TRAIN)) and is_done((task.id, EVALUATE)):
            done.add(task.id)
        elif task.id in left:
            if task.run.parent_id in failures and not is_done((task.run.parent_id, TRAIN)):
                failures[task.id] = f"not started: train of {task.run.parent_id} failed"
        elif any(standing.word == "running" for standing in known):
            live.add(task.id)
        elif known and all(standing.over for standing in known):
            failures[task.id] = next(
                (standing.cause for standing in known if standing.word != "done"), "lost"
            )
    return Shown(done, live, failures)


def _left_undone(store: Store, held: Collection[str], shown: Shown) -> dict[str, str]:
    """Runs that a process outside SLURM worked on when the others were submitted, and does no longer."""
    why = "the process outside SLURM that worked on it has left it: the same command submits it"
    return {run: why for run in held if run not in shown.done and not is_locked(store.path(run))}
