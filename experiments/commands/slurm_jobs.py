"""`prefix-rft status`, `resume`, `cancel`, `logs`: the runs of a store that were submitted to SLURM."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis import render
from analysis.status import status_rows, status_table
from experiments.cluster.launch import Asked, book, last_asked, submit_tasks
from experiments.cluster.logs import files, follow
from experiments.cluster.requests import STAGES, Requests, with_parents
from experiments.cluster.standings import (
    Finished,
    cluster_rows,
    cluster_table,
    now,
    unsubmitted,
    was_submitted,
)
from prefix_rft.errors import RunError, SettingsError
from prefix_rft.runs.store import Store
from prefix_rft.visible import visible
from slurm.commands import Slurm
from slurm.standing import standings


def status(store: Store, console: Console) -> int:
    """Print every run of a store, with its jobs where there are any."""
    if was_submitted(store):
        rows = cluster_rows(store, now(), Slurm())
        console.print(render.rich_renderable(cluster_table(rows)))
        silent = next((row.standing for row in rows if row.standing and row.standing.word == "unknown"), None)
        if silent:
            console.print(f"what is in the queue is not known: {silent.cause}", highlight=False, markup=False)
        _say_what_is_left(sum(row.left for row in rows), console)
        return 0
    runs = status_rows(store, now())
    if runs:
        console.print(render.rich_renderable(status_table(runs)))
    else:
        print(
            f"no runs in {store.root.absolute()}; start some with `python -m experiments.run`, or choose --store"
        )
    return 0


def resume(store: Store, given: Sequence[str], cluster: str | None, console: Console) -> int:
    """Submit again what failed or was lost, what waited for it, and what found no room; nothing else."""
    asked = _asked(store, cluster)
    named = _named(store, given)
    finished = Finished(store)
    found = standings(Slurm(), book(store), finished)
    again = {cell for (cell, stage), one in found.items() if stage in STAGES and one.to_resume}
    again |= unsubmitted(store, found, finished)
    chosen = sorted(again & set(named)) if given else sorted(again)
    if not chosen:
        console.print(_nothing(given), highlight=False)
        return 0
    submission = submit_tasks(store, with_parents(chosen, Requests(store)), asked)
    console.print(submission.text(), highlight=False)
    return 0


def cancel(store: Store, given: Sequence[str], everything: bool, console: Console) -> int:
    """End the jobs of some runs, or of all."""
    if bool(given) == everything:
        raise SettingsError("name the runs whose jobs are to end, or give --all")
    slurm, wanted = Slurm(), set(_named(store, given))
    with book(store).lock():
        found = standings(slurm, book(store), lambda key: False)
        refs = [
            standing.ref
            for (cell, _), standing in found.items()
            if standing.word in ("running", "pending") and (everything or cell in wanted)
        ]
        for start in range(0, len(refs), 500):
            slurm.ask("scancel", *refs[start : start + 500])
    console.print(f"{len(refs)} jobs cancelled; what ran saves its work first", highlight=False)
    return 0


def logs(store: Store, given: str, lines: int, console: Console) -> int:
    """Print the end of a run's own log, and of its jobs' logs where they hold something."""
    run = store.find(given)
    paths = files(store, run)
    shown = [file for file in paths if file.is_file() and file.stat().st_size]
    if not shown:
        raise RunError(f"run {run.id} has not said anything yet: {', '.join(map(str, paths))}")
    for file in shown:
        console.rule(str(file), align="left")
        console.print("".join(_last(file, lines)), highlight=False, markup=False, soft_wrap=True)
    return 0


def follow_logs(store: Store, given: str, lines: int) -> int:
    """Print what a run and its jobs say until it is over; 1 where it ended otherwise than well."""
    return follow(store, given, lines, _say, Slurm())


def _say(text: str) -> None:
    """As it is, but for what would move the cursor: logs hold brackets, long lines and bars that a console changes."""
    sys.stdout.write(visible(text, keep="\r"))
    sys.stdout.flush()


def _asked(store: Store, cluster: str | None) -> Asked:
    last = last_asked(store)
    if last is None:
        raise SettingsError(
            f"nothing of {store.root.absolute()} was submitted to SLURM yet; choose --store, or submit with "
            "hydra/launcher=slurm"
        )
    return last if cluster is None else Asked(cluster, last.sweep, last.overrides, last.at_a_time)


def _named(store: Store, given: Sequence[str]) -> list[str]:
    return [store.find(prefix).id for prefix in given]


def _say_what_is_left(count: int, console: Console) -> None:
    if count:
        runs = "1 run is" if count == 1 else f"{count} runs are"
        them = "it" if count == 1 else "them"
        console.print(
            f"{runs} not submitted yet: `prefix-rft resume` submits {them} as far as the queue has room",
            highlight=False,
        )


def _nothing(given: Sequence[str]) -> str:
    which = "of these runs " if given else ""
    return f"none {which}is failed or lost (what was cancelled by hand: start it with its own command again)"


def _last(file: Path, lines: int) -> list[str]:
    with file.open(errors="replace") as opened:
        return list(deque(opened, lines))
