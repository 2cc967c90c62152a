"""`wait=true`: shows the submitted runs live until they are over, and submits those that found no room."""

from __future__ import annotations

import time
from collections.abc import Sequence

from experiments.cluster.launch import Asked, Results, Submission, book, submit_cells
from experiments.cluster.requests import EVALUATE, TRAIN
from experiments.execute import Report
from experiments.plan import Plan, plan
from experiments.progress import Display
from experiments.progress import Standing as Shown
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig
from slurm.book import Key
from slurm.commands import Slurm
from slurm.standing import Standing, standings

_ASK_SECONDS = 5.0
_LOOK_SECONDS = 0.5


def follow(
    configs: Sequence[RunConfig], asked: Asked, submission: Submission, slurm: Slurm | None = None
) -> Report:
    """Show the runs until nothing of them is in the queue; what the report says of failures is for the caller.

    Leaving early (Ctrl-C) ends nothing: the jobs go on.
    """
    planned, store, slurm = plan(configs), Store(configs[0].store), slurm or Slurm()
    runs = {task.id: RunDir(store.path(task.id)) for task in planned.tasks}
    with Display(planned, runs, max(1, len(runs))) as display:
        while True:
            found = standings(slurm, book(store), Results(store, planned.tasks))
            shown = _shown(planned, found, Results(store, planned.tasks))
            display.refresh(shown)
            if submission.outcome.left and not shown.live:
                submission = submit_cells(configs, asked, slurm)
            elif len(shown.done) + len(shown.failures) == len(planned.tasks):
                break
            _look_on(display, shown)
        display.close(shown)
    return Report(planned, set(shown.done), set(), dict(shown.failures))


def _look_on(display: Display, shown: Shown) -> None:
    """SLURM is asked every few seconds; what the runs write is looked at more often."""
    until = time.monotonic() + _ASK_SECONDS
    while time.monotonic() < until:
        display.refresh(shown)
        time.sleep(_LOOK_SECONDS)


def _shown(planned: Plan, found: dict[Key, Standing], is_done: Results) -> Shown:
    done, live, failures = set(), set(), {}
    for task in planned.tasks:
        stages = [found.get((task.id, stage)) for stage in (TRAIN, EVALUATE)]
        known = [standing for standing in stages if standing is not None]
        if is_done((task.id, TRAIN)) and is_done((task.id, EVALUATE)):
            done.add(task.id)
        elif any(standing.word == "running" for standing in known):
            live.add(task.id)
        elif known and all(standing.over for standing in known):
            failures[task.id] = next(
                (standing.cause for standing in known if standing.word != "done"), "lost"
            )
    return Shown(done, live, failures)
