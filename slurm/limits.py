"""How much the cluster takes: jobs of one array, and jobs in the queue."""

from __future__ import annotations

import getpass

from slurm.commands import Slurm, words
from slurm.profile import Profile

_ALL_OF_THEM = 1 << 30


def array_size(slurm: Slurm, profile: Profile) -> int:
    """Most jobs of one array."""
    if profile.max_array_size is not None:
        return profile.max_array_size
    return max(1, int(slurm.limits().get("MaxArraySize", "1001")) - 1)


def room(slurm: Slurm, profile: Profile) -> int:
    """How many more jobs the queue takes from this user."""
    most = profile.max_submitted or _accounted_limit(slurm)
    mine = len(words(slurm.ask("squeue", "--noheader", "--array", "--me", "--Format", "JobArrayID")))
    total = int(slurm.limits().get("MaxJobCount", str(_ALL_OF_THEM)))
    known = len(words(slurm.ask("squeue", "--noheader", "--array", "--states=all", "--Format", "JobArrayID")))
    return max(0, min(most - mine if most else _ALL_OF_THEM, total - known))


def _accounted_limit(slurm: Slurm) -> int | None:
    """The smallest MaxSubmitJobs of this user's associations; None where there are no accounts or no limit."""
    command = (
        "sacctmgr",
        "--noheader",
        "--parsable2",
        "show",
        "assoc",
        f"user={getpass.getuser()}",
        "format=MaxSubmitJobs",
    )
    limits = [int(line) for line in words(slurm.try_to_ask(*command, timeout=20) or "") if line.isdigit()]
    return min(limits, default=None)
