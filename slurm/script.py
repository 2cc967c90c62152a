"""The batch script of one array: what it asks for, and the one program it starts. Holds no settings and no secrets.

What each job of the array does stands as data in `tasks.json` beside the script, so no override, path or name ever
passes through a shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from slurm.profile import Profile, Resources

_PLAIN = re.compile(r"[\w./:@%+=,~^*\[\]-]+")


@dataclass(frozen=True)
class Array:
    """What a script is about."""

    name: str
    """Job name."""
    stage: str
    token: str
    """Name of this array before SLURM gives it a number; it stands in the job's comment."""
    indices: tuple[int, ...]
    dependency: str | None = None
    """As sbatch has it: aftercorr:12, afterok:12_3."""
    at_a_time: int | None = None
    """Most jobs that run together; null takes the profile's."""
    cpus: int | None = None
    """Cores that a job of it needs at least."""
    nodes: int | None = None
    """Nodes of one job; null takes the profile's."""


def script(array: Array, profile: Profile, python: str, snapshot: Path | None) -> str:
    """The text of the batch script.

    Args:
        array: what it is about.
        profile: the cluster's.
        python: the interpreter on the nodes.
        snapshot: folder with the code; None leaves it to the interpreter.
    """
    head = [
        f"#SBATCH --{key}" if value is None else _option(key, value)
        for key, value in _options(array, profile)
    ]
    code = (
        []
        if snapshot is None
        else [f"export PYTHONPATH={shlex.quote(str(snapshot))}${{PYTHONPATH:+:$PYTHONPATH}}"]
    )
    program = f"exec {profile.container} {shlex.quote(python)} -u -m slurm.task".replace("  ", " ")
    # Safe path: the folder a job starts in must not stand before the snapshot among the places of modules.
    lines = ["#!/bin/bash", *head, "", *profile.setup, *code, "export PYTHONSAFEPATH=1", program]
    return "\n".join([*lines, ""])


def compressed(indices: Iterable[int]) -> str:
    """0,1,2,5 as 0-2,5."""
    parts = []
    for _, run in groupby(enumerate(sorted(indices)), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        parts.append(str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}")
    return ",".join(parts)


def _options(array: Array, profile: Profile) -> Iterable[tuple[str, str | None]]:
    at_a_time = min(array.at_a_time or profile.at_a_time, len(array.indices))
    yield "job-name", array.name
    yield "comment", array.token
    yield "array", f"{compressed(array.indices)}%{at_a_time}"
    yield "output", "%A_%a.log"
    yield "open-mode", "append"
    if array.dependency:
        yield "dependency", array.dependency
        yield "kill-on-invalid-dep", "yes"
    yield "requeue", None
    # B: the batch shell, which by then is the program itself.
    yield "signal", f"B:USR1@{profile.warn_seconds}"
    resources = profile.of(array.stage)
    yield from _asked(resources, array.nodes or resources.nodes, array.cpus or 1)


def _asked(resources: Resources, nodes: int, cpus: int) -> Iterable[tuple[str, str]]:
    for name in ("partition", "account", "qos", "constraint", "gres"):
        value = getattr(resources, name)
        if value is not None:
            yield name, value
    yield "nodes", str(nodes)
    yield "ntasks-per-node", "1"
    yield "cpus-per-task", str(max(resources.cpus, cpus))
    if resources.memory_gb is not None:
        yield "mem", f"{round(resources.memory_gb * 1024)}M"
    yield "time", str(resources.minutes)
    yield from resources.options.items()


def _option(key: str, value: str) -> str:
    return f"#SBATCH --{key}={value if _PLAIN.fullmatch(value) else shlex.quote(value)}"
