"""What the runs of a plan are, each in a few words that tell it from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

from experiments.plan import Task

_SAID = {"seed", "method.name"}
Leaves = dict[str, Any]
Usual = Callable[[str, list[Leaves]], str | None]
"""The value of a setting that goes without saying among these runs; None: none does."""


def sort_of(task: Task) -> str:
    """base, or the method: runs of one sort take about the same time."""
    return "base" if task.run.identity.kind == "base" else task.config.method.name


def kind_of(task: Task) -> tuple[str, str]:
    """Sort and scale: runs of one kind take about the same time also where a plan has several scales."""
    return sort_of(task), task.config.scale


def names(tasks: Iterable[Task]) -> dict[str, str]:
    """A name by run id: the sort, the seed, the scale where there are several, and what is unusual.

    A setting is said only of the runs in which it departs from what most runs of the same kind have.
    """
    listed = list(tasks)
    several = len({task.config.scale for task in listed}) > 1
    apart = _apart(listed, kind_of, _commonest)
    return {task.id: " ".join(filter(None, (_start(task, several), apart[task.id]))) for task in listed}


def differences(tasks: Iterable[Task]) -> dict[str, str]:
    """The settings in which runs of one sort differ, apart from the seed, by run id: kind=linear keep=0.5."""
    return _apart(tasks, sort_of, lambda key, counted: None)


def _apart(tasks: Iterable[Task], group: Callable[[Task], Hashable], usual: Usual) -> dict[str, str]:
    groups: dict[Hashable, list[Task]] = {}
    for task in tasks:
        groups.setdefault(group(task), []).append(task)
    return {run_id: text for alike in groups.values() for run_id, text in _within(alike, usual)}


def _within(alike: list[Task], usual: Usual) -> Iterator[tuple[str, str]]:
    counted = [dict(_leaves(task.run.identity.counts["settings"])) for task in alike]
    differing = [key for key in _keys(counted) if len({str(leaves.get(key)) for leaves in counted}) > 1]
    short, unsaid = _short(differing), {key: usual(key, counted) for key in differing}
    for task, leaves in zip(alike, counted, strict=True):
        said = [key for key in differing if key in leaves and str(leaves[key]) != unsaid[key]]
        yield task.id, " ".join(f"{short[key]}={leaves[key]}" for key in said)


def _commonest(key: str, counted: list[Leaves]) -> str | None:
    """What more than half of the runs have."""
    value, count = Counter(str(leaves.get(key)) for leaves in counted).most_common(1)[0]
    return value if 2 * count > len(counted) else None


def _short(keys: list[str]) -> dict[str, str]:
    """Each key's last word, or its last two where another key ends in the same word."""
    last = Counter(key.rpartition(".")[2] for key in keys)
    return {
        key: key.rpartition(".")[2] if last[key.rpartition(".")[2]] == 1 else ".".join(key.split(".")[-2:])
        for key in keys
    }


def _start(task: Task, several_scales: bool) -> str:
    sort = sort_of(task)
    name = f"base model ({task.config.model.kind})" if sort == "base" else f"{sort} seed {task.config.seed}"
    return f"{name} {task.config.scale}" if several_scales else name


def _keys(counted: Iterable[Mapping[str, Any]]) -> list[str]:
    return [key for key in dict.fromkeys(key for leaves in counted for key in leaves) if key not in _SAID]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, nested in value.items():
        yield from _leaves(nested, f"{name}.{key}".strip("."))
