"""Compares a profile with the live cluster, and says what to change."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slurm.commands import Slurm, words
from slurm.errors import CommandError
from slurm.profile import Profile, Resources

_PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo", "srun")
_SRUN_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    good: bool
    said: str
    """What was found, and where it is not good, what to change."""


def examine(
    slurm: Slurm, profile: Profile, folder: Path, stages: Sequence[str], modules: Sequence[str]
) -> Iterator[Finding]:
    """Look at everything a job of this profile will need; what cannot be looked at any more is left out.

    Args:
        slurm: the cluster.
        profile: what is asked of it.
        folder: where the cells are; every node has to see it.
        stages: whose resources are looked at.
        modules: that Python on a node has to import.
    """
    lacking = [name for name in _PROGRAMS if shutil.which(name, path=slurm.environment.get("PATH")) is None]
    yield Finding(
        "programs",
        not lacking,
        f"not found: {', '.join(lacking)}; run this on a login node"
        if lacking
        else "sbatch and the others are here",
    )
    if lacking:
        return
    try:
        limits = slurm.limits()
    except CommandError as error:
        yield Finding("controller", False, str(error))
        return
    yield Finding("controller", True, f"{limits.get('ClusterName')}, SLURM {limits.get('SLURM_VERSION')}")
    yield _accounts(slurm)
    yield _array_size(profile, limits)
    seen: list[Resources] = []
    for stage in stages:
        resources = profile.of(stage)
        if resources not in seen:
            seen.append(resources)
            yield from _resources(slurm, stage, resources)
    yield from _node(slurm, profile, folder, modules)


def _accounts(slurm: Slurm) -> Finding:
    text = slurm.try_to_ask("sacct", "--noheader", "--parsable2", "-X", "--format", "JobID", timeout=20)
    if text is None:
        return Finding(
            "sacct", True, "no accounts are kept: how a job ended is read from what it writes itself"
        )
    return Finding("sacct", True, "answers")


def _array_size(profile: Profile, limits: dict[str, str]) -> Finding:
    most = int(limits.get("MaxArraySize", "1001")) - 1
    asked = profile.max_array_size
    if asked is not None and asked > most:
        return Finding("max_array_size", False, f"{asked}, but the cluster takes {most}: leave it out")
    return Finding("max_array_size", True, f"{asked or most} jobs in an array; larger sweeps are several")


def _resources(slurm: Slurm, stage: str, resources: Resources) -> Iterator[Finding]:
    """The partition is there, its nodes have what is asked, and sbatch itself says it would take such a job."""
    partitions = {line.split("|")[0].rstrip("*") for line in words(slurm.ask("sinfo", "-h", "-o", "%P|%l"))}
    asked = resources.partition.split(",") if resources.partition else []
    unknown = sorted(set(asked) - partitions)
    if unknown:
        known = ", ".join(sorted(partitions))
        yield Finding(f"{stage}: partition", False, f"no partition {', '.join(unknown)}. There are: {known}")
        return
    options = [
        f"--{name}={value}"
        for name in ("partition", "account", "qos", "constraint", "gres")
        if (value := getattr(resources, name)) is not None
    ]
    options += [
        f"--nodes={resources.nodes}",
        f"--cpus-per-task={resources.cpus}",
        f"--time={resources.minutes}",
    ]
    options += [f"--mem={round(resources.memory_gb * 1024)}M"] if resources.memory_gb else []
    options += [f"--{name}={value}" for name, value in resources.options.items()]
    try:
        slurm.ask("sbatch", "--test-only", *options, "--wrap", "true")
    except CommandError as error:
        nodes = "; ".join(
            words(slurm.ask("sinfo", "-h", "-o", "%P: %D nodes, %c cores, %m MB, %G, %f, at most %l"))[:8]
        )
        yield Finding(f"{stage}: resources", False, f"{_last_words(error)}. The cluster has: {nodes}")
        return
    yield Finding(f"{stage}: resources", True, f"sbatch would take {' '.join(options)}")


def _node(slurm: Slurm, profile: Profile, folder: Path, modules: Sequence[str]) -> Iterator[Finding]:
    """On a node: the folder is the same one, Python imports what the stages need, and the job has our comment."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".doctor-{uuid.uuid4().hex[:8]}"
    probe.write_text("seen")
    python = profile.python or sys.executable
    wanted = f"import sys; {'; '.join(f'import {name}' for name in modules)}; print('imports', sys.version.split()[0])"
    lines = ["exec 2>&1", *profile.setup, "echo on $(hostname)", f"cat {shlex.quote(str(probe))} && echo"]
    lines.append('echo "has the comment $(squeue --noheader --jobs=$SLURM_JOB_ID --format=%k 2>/dev/null)"')
    # Whatever fails, the job does not: what was said before it would be lost with what srun printed.
    lines.append(f"{profile.container} {shlex.quote(python)} -c {shlex.quote(wanted)} || true")
    resources = profile.of("train")
    options = [
        f"--{name}={value}" for name in ("partition", "account", "qos") if (value := getattr(resources, name))
    ]
    try:
        options += [f"--comment={probe.name}", "--ntasks=1", "--time=5", "--quiet"]
        command = ("srun", *options, "bash", "-c", "\n".join(lines))
        said = slurm.ask(*command, timeout=_SRUN_PATIENCE_SECONDS)
    except CommandError as error:
        said = str(error)
    finally:
        probe.unlink()
    if "not answer" in said:
        yield Finding(
            "a node", False, f"none was free within {_SRUN_PATIENCE_SECONDS:.0f} s: try again later"
        )
        return
    yield Finding(
        "shared folder",
        "seen" in words(said),
        f"{folder} is there on a node"
        if "seen" in words(said)
        else f"a node does not see {folder}: choose store=<a folder on a shared file system>. It said: {_tail(said)}",
    )
    version = re.search(r"imports (\S+)", said)
    yield Finding(
        "python",
        version is not None,
        f"{python} is {version.group(1)} on a node and imports {', '.join(modules)}"
        if version
        else f"{python} on a node: {_tail(said)}. Set python, setup or container in the profile",
    )
    yield from _comment(said, probe.name)


def _comment(said: str, ours: str) -> Iterator[Finding]:
    """Some clusters write into it what they like; a node without squeue says nothing of it."""
    found = re.search(r"has the comment (\S.*)", said)
    if found and found.group(1).strip() != ours:
        yield Finding(
            "comment",
            False,
            f"the cluster puts {found.group(1).strip()!r} in the place of a job's comment, by which jobs are found "
            "again: ask its administrators to leave it (JobSubmitPlugins)",
        )
    elif found:
        yield Finding("comment", True, "a job keeps the comment it is submitted with")


def _last_words(error: CommandError) -> str:
    return words(str(error))[-1].removeprefix("allocation failure: ")


def _tail(said: str) -> str:
    return " ".join(words(said)[-2:]) or "said nothing"
