"""SLURM's programs, called: what they are asked, and what they answered."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slurm.errors import CommandError

_KEPT = ("SLURM_CONF", "SLURM_CONFIG")
_OF_A_JOB = ("SLURM", "SBATCH_", "SRUN_", "SQUEUE_", "SINFO_", "SACCT_")
_PATIENCE_SECONDS = 120.0
_UNSURE = ("Unable to contact slurm controller", "Socket timed out", "Zero Bytes", "Transport endpoint")
"""What sbatch says where the controller may have taken the job and the answer was lost."""


@dataclass(frozen=True)
class Slurm:
    """One cluster as this process sees it; everything that is asked of it goes through `ask`."""

    environment: Mapping[str, str] = field(default_factory=lambda: own_environment(os.environ))

    def ask(
        self,
        *command: str,
        folder: Path | None = None,
        timeout: float = _PATIENCE_SECONDS,
        held: tuple[int, ...] = (),
    ) -> str:
        """What a program of SLURM printed.

        Args:
            command: program and arguments, passed without a shell.
            folder: where it starts; a batch job then starts there too.
            timeout: seconds.
            held: descriptors that it inherits.

        Raises:
            CommandError: it is missing, refused, or did not answer in time.
        """
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                pass_fds=held,
            )
        except FileNotFoundError:
            raise CommandError(
                f"{command[0]} is not on this machine: submit from a login node of the cluster"
            ) from None
        except subprocess.TimeoutExpired:
            raise CommandError(f"{command[0]} did not answer within {timeout:g} s", unsure=True) from None
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            unsure = done.returncode < 0 or any(word in said for word in _UNSURE)
            raise CommandError(f"{command[0]} refused: {said}", unsure=unsure)
        return done.stdout

    def try_to_ask(self, *command: str, timeout: float = _PATIENCE_SECONDS) -> str | None:
        """The same where not every cluster can answer; None then."""
        try:
            return self.ask(*command, timeout=timeout)
        except CommandError:
            return None

    def submit(self, folder: Path, name: str, *, held: int, timeout: float) -> str:
        """Submit the batch script of that name in a folder, which the job starts in; the array's number.

        Args:
            folder: where the script is.
            name: of the script.
            held: descriptor of a lock that sbatch goes on holding should this process die.
            timeout: seconds; sbatch itself tries again where the controller is busy.

        Raises:
            CommandError: it was refused, or (`unsure`) nobody knows.
        """
        text = self.ask("sbatch", "--parsable", name, folder=folder, timeout=timeout, held=(held,))
        return text.strip().splitlines()[-1].partition(";")[0]

    def limits(self) -> dict[str, str]:
        """The cluster's configuration as `scontrol show config` has it.

        Raises:
            CommandError: the controller does not answer.
        """
        lines = self.ask("scontrol", "show", "config").splitlines()
        pairs = (line.partition("=") for line in lines if "=" in line)
        return {key.strip(): value.strip() for key, _, value in pairs}


def own_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what belongs to the job that this process may be part of.

    A job submitted from inside another would take over that one's memory, nodes and array otherwise.
    """
    return {key: value for key, value in environment.items() if key in _KEPT or not key.startswith(_OF_A_JOB)}


def words(text: str) -> Sequence[str]:
    """Lines that hold something."""
    return [line.strip() for line in text.splitlines() if line.strip()]
