"""Where jobs stand as SLURM tells it: squeue for what it remembers, sacct for the rest, where there is one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from slurm.commands import Slurm, words
from slurm.errors import CommandError

LIVE = frozenset(
    "PENDING RUNNING REQUEUED REQUEUE_FED REQUEUE_HOLD COMPLETING CONFIGURING SUSPENDED STOPPED SIGNALING "
    "RESIZING RESV_DEL_HOLD SPECIAL_EXIT STAGE_OUT".split()
)
"""States of a job that may still do something. PREEMPTED is one only until SLURM has put the job back."""
_FIELDS = "JobArrayID:|,State:|,NodeList:|,Reason:|,exit_code:|,RestartCnt:|,TimeUsed:|,Comment:"
_SACCT = "JobID,State,NodeList,ExitCode"
_UNKNOWN_JOB = "Invalid job id"


@dataclass(frozen=True)
class Seen:
    """One job, or one job of an array, as SLURM sees it."""

    ref: str
    """123, or 123_4."""
    state: str
    """SLURM's word: PENDING, RUNNING, OUT_OF_MEMORY."""
    nodes: str = ""
    reason: str = ""
    """Why it waits, or why it was cancelled."""
    exit: str = ""
    """exit 1, or signal 9; empty where there was none."""
    restarts: int = 0
    """How often it was requeued."""
    comment: str = ""

    @property
    def live(self) -> bool:
        """Whether it may still do something."""
        return self.state in LIVE


def look(slurm: Slurm, arrays: Mapping[str, str]) -> dict[str, Seen]:
    """The jobs of these arrays that SLURM knows, by reference.

    Args:
        slurm: the cluster.
        arrays: the comment of each array, by its number; a cluster that lost its memory gives numbers away again.

    Raises:
        CommandError: squeue does not answer; where a job is then is not known, which is not the same as gone.
    """
    wanted = sorted(arrays, key=int)
    if not wanted:
        return {}
    known = _squeue(slurm, wanted)
    seen = {ref: job for ref, job in known.items() if job.comment == arrays[ref.partition("_")[0]]}
    gone = sorted(set(wanted) - {ref.partition("_")[0] for ref in seen}, key=int)
    return {**_sacct(slurm, gone), **seen} if gone else seen


def by_comment(slurm: Slurm, comment: str) -> str | None:
    """Id of the array that was submitted with this comment, if SLURM knows one."""
    text = slurm.ask("squeue", "--noheader", "--states=all", "--Format", "ArrayJobID:|,Comment:")
    for line in words(text):
        job, _, said = line.partition("|")
        if said == comment:
            return job
    listed = slurm.try_to_ask("sacct", "-nXP", "-S", "now-30days", "-o", "JobID,Comment")
    lines = (line.partition("|") for line in words(listed or ""))
    return next((job.partition("_")[0] for job, _, said in lines if said == comment), None)


def _squeue(slurm: Slurm, jobs: list[str]) -> dict[str, Seen]:
    command = ("squeue", "--noheader", "--array", "--states=all", "--Format", _FIELDS)
    try:
        text = slurm.ask(*command, "--jobs", ",".join(jobs))
    except CommandError as error:
        if _UNKNOWN_JOB not in str(error):
            raise
        text = ""
    found = [_of_squeue(line) for line in words(text)]
    return {job.ref: job for job in found if job is not None}


def _of_squeue(line: str) -> Seen | None:
    parts = line.split("|")
    if len(parts) < 8:
        return None
    ref, state, nodes, reason, status, restarts, _, comment = parts[:8]
    return Seen(ref, state, nodes, "" if reason == "None" else reason, _exit(status), int(restarts), comment)


def _exit(status: str) -> str:
    """From the status that wait(2) gives."""
    number = int(status) if status.isdigit() else 0
    if number & 0x7F:
        return f"signal {number & 0x7F}"
    return f"exit {number >> 8}" if number >> 8 else ""


def _sacct(slurm: Slurm, jobs: list[str]) -> dict[str, Seen]:
    """Nothing where the cluster keeps no accounts."""
    text = slurm.try_to_ask("sacct", "-nXP", "-o", _SACCT, "-j", ",".join(jobs))
    found = {}
    for line in words(text or ""):
        ref, state, nodes, code = line.split("|")[:4]
        exit_code, _, number = code.partition(":")
        said = f"signal {number}" if number not in ("", "0") else f"exit {exit_code}"
        for one in expand(ref):
            found[one] = Seen(one, state.split()[0], nodes, "", "" if said == "exit 0" else said)
    return found


def expand(ref: str) -> list[str]:
    """123_[0-2,5%4] as 123_0, 123_1, 123_2, 123_5; any other reference as itself."""
    match = re.fullmatch(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]", ref)
    if match is None:
        return [ref]
    job, ranges = match.groups()
    return [f"{job}_{index}" for part in ranges.split(",") for index in _range(part)]


def _range(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)
