"""What the jobs of a run are asked to do, as data in the store: written when it is submitted, read when it starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments.plan import Task
from experiments.processes import tuning
from experiments.worker import Request
from prefix_rft.errors import RunError
from prefix_rft.runs.atomic import read_json, write_bytes, write_json
from prefix_rft.runs.identity import PlannedRun
from prefix_rft.runs.jsonl import encode
from prefix_rft.runs.store import Store
from prefix_rft.settings import RunConfig
from slurm.arrays import Job
from slurm.book import FOLDER

TRAIN = "train"
EVALUATE = "evaluate"
AGGREGATE = "aggregate"
STAGES = (TRAIN, EVALUATE)


@dataclass(frozen=True)
class Requests:
    """The requests of one store."""

    store: Store

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.store.root.absolute() / FOLDER / "requests"

    def path(self, run_id: str) -> Path:
        """File of one run."""
        return self.folder / f"{run_id}.json"

    def write(self, task: Task, command: Sequence[str]) -> None:
        """Ask for a run; evaluations that were asked for before stay asked for."""
        self.folder.mkdir(parents=True, exist_ok=True)
        before = self.read(task.id).asked if self.path(task.id).exists() else ()
        asked = _distinct(before, task.asked)
        request = Request(task.id, task.run.parent_id, task.config, asked, command=tuple(command))
        self._write(request)

    def add(self, task: Task) -> None:
        """Ask for more evaluations of a run that was asked for before; nothing else changes."""
        before = self.read(task.id)
        asked = _distinct(before.asked, task.asked)
        if asked != before.asked:
            self._write(dataclasses.replace(before, asked=asked))

    def read(self, run_id: str) -> Request:
        """What is asked of a run.

        Raises:
            RunError: nothing was ever asked of it, or the file is damaged.
        """
        if not self.path(run_id).exists():
            raise RunError(f"run {run_id} was never submitted to SLURM from this store ({self.folder})")
        try:
            return Request.parse(read_json(self.path(run_id)))
        except (RunError, ValidationError, TypeError) as error:
            raise RunError(
                f"{self.path(run_id)} is damaged. Delete that file, and give the command again that asked for the run: "
                "it writes it anew."
            ) from error

    def tasks(self, run_ids: Iterable[str]) -> list[Task]:
        """The runs as they were planned."""
        return [self._task(run_id) for run_id in run_ids]

    def aggregation(self, name: str, values: dict[str, Any]) -> Path:
        """Write down what is done when everything is over."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{AGGREGATE}-{name}.json"
        write_json(path, values)
        return path

    def _write(self, request: Request) -> None:
        """On one line: laid out for reading, settings take ten times as long, and a sweep has thousands of them."""
        write_bytes(self.path(request.run_id), encode(request.to_dict()))

    def _task(self, run_id: str) -> Task:
        request = self.read(run_id)
        identity = self.store.open(run_id).identity()
        return Task(PlannedRun(identity, request.config, request.parent_id), request.asked)


def _distinct(before: Sequence[RunConfig], more: Sequence[RunConfig]) -> tuple[RunConfig, ...]:
    return tuple({config.model_dump_json(): config for config in (*before, *more)}.values())


def jobs_of(planned: Sequence[Task], requests: Requests) -> list[Job]:
    """Training and evaluation of every run, parents first."""
    return [job for task in planned for job in _jobs(task, requests)]


def aggregation(name: str, path: Path) -> Job:
    """What is done when everything is over: the mirror to W&B, and the report of a sweep."""
    return Job(name, AGGREGATE, ("-m", "experiments.cluster.aggregate", str(path)))


def with_parents(run_ids: Iterable[str], requests: Requests) -> list[Task]:
    """These runs and those they start from, each once, parents first."""
    tasks: dict[str, Task] = {}

    def add(run_id: str) -> None:
        if run_id in tasks:
            return
        (task,) = requests.tasks([run_id])
        if task.run.parent_id is not None:
            add(task.run.parent_id)
        tasks[run_id] = task

    for run_id in run_ids:
        add(run_id)
    return list(tasks.values())


def _jobs(task: Task, requests: Requests) -> list[Job]:
    threads = task.config.launcher.threads
    command = ("-m", "experiments.cluster.job", str(requests.path(task.id)))
    parent = task.run.parent_id
    training = Job(
        task.id,
        TRAIN,
        (*command, TRAIN),
        after=None if parent is None else (parent, TRAIN),
        environment=tuning(threads),
        cpus=threads,
        nodes=1 if task.run.identity.kind == "base" else None,  # made by one process on whatever backend
    )
    evaluating = replace(
        training, nodes=None, stage=EVALUATE, command=(*command, EVALUATE), after=(task.id, TRAIN)
    )
    return [training, evaluating]
