"""A function as a job of a cluster profile, for a notebook: submitit's executor, set up as the profile says.

Sweeps do not go through this (docs/decisions.md): what is called here has no run id, no chain and no `resume`. What
it shares with them is the profile, and that a program which saves and ends with 75 goes on after a preemption.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slurm.errors import ProfileError, SlurmError
from slurm.profile import Profile
from slurm.task import TO_CONTINUE, of_one_vendor

if TYPE_CHECKING:
    import submitit

_SAVED = (TO_CONTINUE, -signal.SIGTERM)
_SAVING_SECONDS = 3600.0
"""Longest wait for a program that was told to save; SLURM's own patience ends before."""
_TURN_SECONDS = 30.0
"""SLURM's SIGTERM can reach the program before submitit hears of anything: its turn comes, or the job is over."""


class ProgramFailedError(SlurmError):
    """A program that was called as a job ended otherwise than well."""


def submitit_executor(
    profile: Profile, folder: Path | str, *, stage: str = "", cluster: Literal["slurm", "local"] = "slurm"
) -> submitit.AutoExecutor:
    """submitit's executor with what the profile asks for.

    Args:
        profile: the cluster's (`slurm.profile.load`).
        folder: of submitit's pickles and logs; the nodes have to see it. `%j` is the job's number.
        stage: whose resources are taken where the profile has some for it; otherwise those of every job.
        cluster: `local` runs the function in a process of this machine instead, to try it.

    Raises:
        ProfileError: several nodes are asked for, whose Ray cluster only `slurm.submit` starts.
    """
    import submitit

    if profile.of(stage).nodes > 1:
        raise ProfileError(
            f"a function runs on one node, the profile asks for {profile.of(stage).nodes}: add a stage with nodes: 1"
        )
    python = f"{profile.container} {shlex.quote(profile.python or sys.executable)}".strip()
    own = {"slurm_python": python, "slurm_max_num_timeout": profile.max_requeues}
    executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **own)
    executor.update_parameters(**parameters(profile, stage))
    return executor


def parameters(profile: Profile, stage: str = "") -> dict[str, Any]:
    """The profile in submitit's words (`AutoExecutor.update_parameters`); what the profile leaves out is left out."""
    asked = profile.of(stage)
    named = {
        f"slurm_{name}": value
        for name in ("partition", "account", "qos", "constraint", "gres")
        if (value := getattr(asked, name)) is not None
    }
    memory = {} if asked.memory_gb is None else {"mem_gb": asked.memory_gb}
    return {
        "name": "prefix-rft-function",
        "timeout_min": asked.minutes,
        "nodes": 1,
        "tasks_per_node": 1,
        "cpus_per_task": asked.cpus,
        "slurm_setup": list(profile.setup),
        "slurm_signal_delay_s": profile.warn_seconds,
        "slurm_array_parallelism": profile.at_a_time,
        "slurm_additional_parameters": dict(asked.options),
        **named,
        **memory,
    }


@dataclass
class Program:
    """A program as a function: `executor.submit(Program(("-m", "my.module", "argument")))`.

    Where SLURM preempts it or its time is up, it is told to save by SIGTERM; if it then ends with 75, it is started
    again with the same arguments after the requeue.
    """

    arguments: tuple[str, ...]
    """What the interpreter is given."""
    folder: str = field(default_factory=os.getcwd)
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those of the job; no secrets, they are on disk."""

    def __call__(self) -> None:
        """Run it to its end.

        Raises:
            ProgramFailedError: it ended with another code than 0.
        """
        environment = {**of_one_vendor(os.environ), **self.environment}
        self._child = subprocess.Popen(
            [sys.executable, *self.arguments], cwd=self.folder, env=environment, preexec_fn=_be_deaf
        )
        code = self._child.wait()
        if code in _SAVED:
            time.sleep(_TURN_SECONDS)
        if code:
            raise ProgramFailedError(f"{' '.join(self.arguments)} ended with {code}")

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """submitit's question before it requeues the job: what is to be called then.

        Raises:
            ProgramFailedError: it did not save.
        """
        from submitit.helpers import DelayedSubmission

        code = self._save()
        if code not in _SAVED:
            raise ProgramFailedError(f"{' '.join(self.arguments)} was told to save and ended with {code}")
        return DelayedSubmission(Program(self.arguments, self.folder, self.environment))

    def _save(self) -> int:
        """Its exit code; it is left for `__call__` to collect, which this interrupts in the midst of waiting."""
        if self._child.returncode is not None:
            return self._child.returncode
        os.kill(self._child.pid, signal.SIGTERM)
        deadline = time.monotonic() + _SAVING_SECONDS
        while time.monotonic() < deadline:
            ended = os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if ended is not None:
                return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
            time.sleep(0.1)
        raise ProgramFailedError(f"{' '.join(self.arguments)} did not save in {_SAVING_SECONDS:.0f} s")


def _be_deaf() -> None:
    """SLURM sends submitit's signal to every process of the job; the program is told by SIGTERM."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
