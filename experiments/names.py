"""What the runs of a plan are, each in a few words that tell it from the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from experiments.plan import Task

_SAID = {"seed", "method.name"}


def sort_of(task: Task) -> str:
    """base, or the method: runs of one sort take about the same time."""
    return "base" if task.run.identity.kind == "base" else task.config.method.name


def names(tasks: Iterable[Task]) -> dict[str, str]:
    """A name by run id: the sort, the seed, and the settings in which runs of one sort differ."""
    listed = list(tasks)
    apart = differences(listed)
    return {task.id: f"{_start(task)} {apart[task.id]}".strip() for task in listed}


def differences(tasks: Iterable[Task]) -> dict[str, str]:
    """The settings in which runs of one sort differ, apart from the seed, by run id: kind=linear keep=0.5."""
    sorts: dict[str, list[Task]] = {}
    for task in tasks:
        sorts.setdefault(sort_of(task), []).append(task)
    return {run_id: text for alike in sorts.values() for run_id, text in _differences(alike)}


def _differences(alike: list[Task]) -> Iterator[tuple[str, str]]:
    counted = [dict(_leaves(task.run.identity.counts["settings"])) for task in alike]
    differing = [key for key in _keys(counted) if len({str(leaves.get(key)) for leaves in counted}) > 1]
    for task, leaves in zip(alike, counted, strict=True):
        yield (
            task.id,
            " ".join(f"{key.rpartition('.')[2]}={leaves[key]}" for key in differing if key in leaves),
        )


def _start(task: Task) -> str:
    sort = sort_of(task)
    return f"base model ({task.config.model.kind})" if sort == "base" else f"{sort} seed {task.config.seed}"


def _keys(counted: Iterable[Mapping[str, Any]]) -> list[str]:
    return [key for key in dict.fromkeys(key for leaves in counted for key in leaves) if key not in _SAID]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, nested in value.items():
        yield from _leaves(nested, f"{name}.{key}".strip("."))
