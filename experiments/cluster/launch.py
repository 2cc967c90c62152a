"""Submits the runs behind some cells, and returns: what is done or in the queue is left alone."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.cluster.requests import AGGREGATE, EVALUATE, STAGES, TRAIN, Requests, aggregation, jobs_of
from experiments.execute import shared
from experiments.plan import Task, plan
from experiments.worker import is_evaluated
from prefix_rft.errors import SettingsError
from prefix_rft.runs.atomic import read_json
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.markers import TRAIN as TRAINING
from prefix_rft.runs.provenance import collect
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig
from slurm.book import FOLDER, Book, Entry, Key
from slurm.commands import Slurm
from slurm.profile import Profile, load, names
from slurm.snapshot import snapshot
from slurm.submit import Outcome, Terms, submit

JOB_NAME = "prefix-rft"
_WRITERS = 8
"""Threads that write down what is asked of runs."""


@dataclass(frozen=True)
class Asked:
    """How a command line wants its cells to run on SLURM."""

    cluster: str
    """A profile: its name, or a file's path."""
    sweep: str | None = None
    overrides: tuple[str, ...] = ()
    """Of the sweep, for its report."""
    at_a_time: int | None = None
    """Most runs of an array that go together; null takes the profile's."""

    @property
    def profile(self) -> Profile:
        """The cluster's."""
        return load(self.cluster)


@dataclass
class Submission:
    """What became of the runs."""

    outcome: Outcome
    plan: Sequence[Task]
    aggregate: bool = False
    held: list[str] = field(default_factory=list)
    """Runs that a process outside SLURM works on just now."""

    def text(self) -> str:
        """In words."""
        submitted = {cell for cell, stage in self.outcome.keys if stage != AGGREGATE}
        done = {task.id for task in self.plan if {(task.id, stage) for stage in STAGES} <= self.outcome.done}
        live = {cell for cell, _ in self.outcome.live} - submitted
        left = {cell for cell, _ in self.outcome.left}
        words = [
            f"{_count(len(self.plan), 'run')}: {len(submitted)} submitted{_arrays(self.outcome.submitted)}"
        ]
        words += [f"{len(live)} in the queue before"] if live else []
        words += [f"{len(done)} done before"] if done else []
        lines = [", ".join(words)]
        if left:
            lines.append(
                f"{len(left)} found no room in the queue: `prefix-rft resume` submits them when others are over"
            )
        if self.held:
            lines.append(f"left to a process outside SLURM that works on them: {', '.join(self.held)}")
        return "\n".join(lines)


def submit_cells(configs: Sequence[RunConfig], asked: Asked, slurm: Slurm | None = None) -> Submission:
    """Submit what the cells need, each distinct run once.

    Raises:
        SettingsError: the cells differ in store or launcher.
        SlurmError: the profile, or what SLURM said.
    """
    store, _ = shared(configs)
    return submit_tasks(store, plan(configs).tasks, asked, slurm)


def submit_tasks(store: Store, tasks: Sequence[Task], asked: Asked, slurm: Slurm | None = None) -> Submission:
    """Submit runs, parents first."""
    profile, requests = asked.profile, Requests(store)
    _refuse_other_nodes(profile, tasks)
    known = {cell for cell, _ in book(store).places()}
    held = dict.fromkeys(task.id for task in tasks if task.id not in known and _is_locked(store, task))
    wanted = [task for task in tasks if task.id not in held]
    results = Results(store, tasks)
    path = requests.aggregation(_stamp(requests), _aggregation(store, wanted, asked)) if wanted else None
    outcome = submit(
        slurm or Slurm(),
        book(store),
        jobs_of(wanted, requests),
        terms(profile, asked),
        is_done=results,
        snapshot=lambda: code(store),
        prepare=lambda keys: _prepare(store, wanted, requests, keys, results),
        last=aggregation(asked.sweep or "runs", path) if path else None,
    )
    if path is not None and not outcome.submitted and not outcome.left:
        path.unlink()
    return Submission(outcome, tasks, bool(outcome.submitted), list(held))


def book(store: Store) -> Book:
    """What was submitted of a store."""
    return Book(store.root.absolute())


def terms(profile: Profile, asked: Asked) -> Terms:
    """How jobs are submitted."""
    return Terms(profile, profile.python or sys.executable, JOB_NAME, at_a_time=asked.at_a_time)


def code(store: Store) -> Path:
    """The code as it is now, where jobs import it from; what lies in the store is no code."""
    folder = store.root.absolute() / FOLDER / "snapshots"
    folder.mkdir(parents=True, exist_ok=True)
    source: dict[str, Any] = collect()["source"]
    return snapshot(folder, source, but=[store.root])


class Results:
    """Whether a stage's results are in the store."""

    def __init__(self, store: Store, tasks: Sequence[Task]) -> None:
        self._store, self._tasks = store, {task.id: task for task in tasks}

    def __call__(self, key: Key) -> bool:
        """Markers and their targets, not what SLURM says; False for a run that is none of these."""
        run_id, stage = key
        task = self._tasks.get(run_id)
        run = RunDir(self._store.path(run_id))
        if task is None or not run.path.is_dir():
            return False
        return run.stages.is_done(TRAINING) if stage == TRAIN else is_evaluated(run, task.asked)


def cluster_named(name: str | None) -> str:
    """The profile's name.

    Raises:
        SettingsError: none is given.
    """
    if name is None:
        known = ", ".join(names())
        raise SettingsError(
            f"hydra/launcher=slurm needs cluster=<name>. Known: {known}; or the path of a .yaml file. Copy "
            "slurm/clusters/example.yaml to add one."
        )
    return name


def _refuse_other_nodes(profile: Profile, tasks: Sequence[Task]) -> None:
    """Nodes that nobody uses, or that are not there."""
    if profile.of(EVALUATE).nodes > 1:
        raise SettingsError("an evaluation uses one node: say stages: {evaluate: {nodes: 1}} in the profile")
    for task in tasks:
        if task.run.identity.kind == "base":
            continue
        nodes = getattr(task.config.backend, "nodes", 1)
        if nodes != profile.of(TRAIN).nodes:
            raise SettingsError(
                f"backend.nodes={nodes} (a backend of kind {task.config.backend.kind}), but a training's job has "
                f"{profile.of(TRAIN).nodes} in the profile: make them equal (stages: {{train: {{nodes: {nodes}}}}})"
            )


def _prepare(
    store: Store, tasks: Sequence[Task], requests: Requests, keys: Collection[Key], results: Results
) -> None:
    """Write down what is asked of every run that is not done, before SLURM is asked for anything.

    What finds no room, or is refused, is found by `prefix-rft resume` then. What is in the queue keeps its settings,
    and its job finds the evaluations that were asked for since.
    """
    submitted = {cell for cell, _ in keys}

    def write_down(task: Task) -> None:
        _write_down(store, task, requests, submitted=task.id in submitted, results=results)

    # A run is several files that are each waited for until they are on the disk: the waits go side by side.
    with ThreadPoolExecutor(_WRITERS) as writers:
        for _ in writers.map(write_down, tasks):
            pass


def _write_down(store: Store, task: Task, requests: Requests, *, submitted: bool, results: Results) -> None:
    if all(results((task.id, stage)) for stage in STAGES):
        return
    if not submitted and requests.path(task.id).exists():
        requests.add(task)
        return
    run = store.create(task.run.identity, task.config)
    requests.write(task, sys.orig_argv)
    if submitted and not is_locked(run.path):
        StateWriter(run.path).queued(reason="submitted to SLURM")


def last_asked(store: Store) -> Asked | None:
    """How the newest submission of a store was asked for."""
    newest = max(Requests(store).folder.glob(f"{AGGREGATE}-*.json"), default=None)
    if newest is None:
        return None
    values = read_json(newest)
    return Asked(values["cluster"], values["sweep"], tuple(values["overrides"]), values["at_a_time"])


def _is_locked(store: Store, task: Task) -> bool:
    path = store.path(task.id)
    return path.is_dir() and is_locked(path)


def _aggregation(store: Store, tasks: Sequence[Task], asked: Asked) -> dict[str, Any]:
    return {
        "cluster": asked.cluster,
        "at_a_time": asked.at_a_time,
        "store": str(store.root.absolute()),
        "runs": [task.id for task in tasks],
        "sweep": asked.sweep,
        "overrides": list(asked.overrides),
    }


def _stamp(requests: Requests) -> str:
    """The time, in a name that sorts after all before it, also where the clock was set back."""
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    newest = max(requests.folder.glob(f"{AGGREGATE}-*.json"), default=None)
    before = newest.stem.removeprefix(f"{AGGREGATE}-") if newest else ""
    return stamp if stamp > before else f"{before}_"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _arrays(entries: Sequence[Entry]) -> str:
    if not entries:
        return ""
    jobs = sum(len(entry.cells) for entry in entries)
    return f" as {jobs} jobs in {len(entries)} arrays ({', '.join(str(entry.job) for entry in entries)})"
