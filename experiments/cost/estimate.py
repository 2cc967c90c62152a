"""What is left to do of a plan, and what it will take: of finished runs on a CPU the measured seconds are used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from analysis.cells import open_run
from experiments.cost.work import (
    CPU_CORE,
    SAMPLE_BYTES,
    Machine,
    Work,
    base_work,
    checkpoint_bytes,
    evaluation_work,
    machine_of,
    training_work,
)
from experiments.execute import is_complete
from experiments.names import kind_of
from experiments.plan import Task
from prefix_rft.errors import PrefixRftError
from prefix_rft.runs.identity import evaluations
from prefix_rft.runs.markers import TRAIN, evaluation_stage
from prefix_rft.runs.store import RunDir, Store

Kind = tuple[str, str]
"""Sort and scale of a run."""


@dataclass(frozen=True)
class Estimate:
    """One distinct run."""

    task: Task
    done: bool
    work: Work | None
    """What is left of it; None where the size of model or data is not known."""
    seconds: float | None
    """What is left of it, in seconds of one device."""
    disk: float | None
    """Bytes that are left to write and will stay."""

    @property
    def machine(self) -> Machine:
        """The device of `seconds`."""
        return _machine(self.task)


@dataclass(frozen=True)
class Measured:
    """Finished runs of one kind on this machine."""

    runs: int
    ratio: float
    """Their seconds over what the FLOP model says of them."""


def estimates(tasks: Sequence[Task], store: Store) -> tuple[list[Estimate], dict[Kind, Measured]]:
    """What is left of every run, in order, and the finished runs that it was judged by."""
    runs = {task.id: open_run(store, task.id) for task in tasks}
    done = {task.id for task in tasks if _is_done(task, runs[task.id])}
    measured = _measured((task, runs[task.id]) for task in tasks if task.id in done)
    return [_estimate(task, runs[task.id], task.id in done, measured) for task in tasks], measured


def _estimate(task: Task, run: RunDir | None, done: bool, measured: Mapping[Kind, Measured]) -> Estimate:
    if done:
        return Estimate(task, True, Work(), 0.0, 0.0)
    work, checkpoints = _work(task, run), checkpoint_bytes(task.config, base=_is_base(task))
    if work is None or checkpoints is None:
        return Estimate(task, False, None, None, None)
    disk = SAMPLE_BYTES * work.kept + (0.0 if _is_trained(run) else checkpoints)
    return Estimate(task, False, work, _seconds(task, work) * _ratio(task, measured), disk)


def _ratio(task: Task, measured: Mapping[Kind, Measured]) -> float:
    known = measured.get(kind_of(task))
    return known.ratio if known and _machine(task) is CPU_CORE else 1.0


def _machine(task: Task) -> Machine:
    return machine_of(task.config, base=_is_base(task))


def _seconds(task: Task, work: Work) -> float:
    machine = _machine(task)
    return machine.start_seconds + machine.seconds(work)


def _work(task: Task, run: RunDir | None) -> Work | None:
    """Of training and of every evaluation that is asked for, what is not done."""
    parts = [] if _is_trained(run) else [(base_work if _is_base(task) else training_work)(task.config)]
    for config in task.asked:
        parts += [
            evaluation_work(config, name)
            for name, folder in evaluations(config)
            if run is None or not run.stages.is_done(evaluation_stage(name, folder))
        ]
    known = [part for part in parts if part is not None]
    return sum(known, Work()) if len(known) == len(parts) else None


def _measured(done: Iterable[tuple[Task, RunDir | None]]) -> dict[Kind, Measured]:
    ratios: dict[Kind, list[float]] = {}
    for task, run in done:
        took, work = _took(run), _work(task, None)
        if took is not None and work is not None and _machine(task) is CPU_CORE:
            ratios.setdefault(kind_of(task), []).append(took / _seconds(task, work))
    return {kind: Measured(len(found), sum(found) / len(found)) for kind, found in ratios.items()}


def _took(run: RunDir | None) -> float | None:
    """Seconds of a run that was done in one attempt; of others the time in between is not known."""
    state = run.state() if run else None
    if state is None or state.attempt != 1 or not (state.started and state.updated):
        return None
    return (datetime.fromisoformat(state.updated) - datetime.fromisoformat(state.started)).total_seconds()


def _is_done(task: Task, run: RunDir | None) -> bool:
    try:
        return run is not None and is_complete(run, task)
    except PrefixRftError:
        return False  # damaged: `status` says how, and the run itself will refuse


def _is_base(task: Task) -> bool:
    return task.run.identity.kind == "base"


def _is_trained(run: RunDir | None) -> bool:
    return run is not None and run.stages.is_done(TRAIN)
