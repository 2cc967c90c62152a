"""A cluster that is only told what to say: it takes arrays, remembers their scripts, and answers as SLURM prints."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from slurm.commands import Slurm
from slurm.errors import CommandError
from slurm.queue import expand


@dataclass(frozen=True)
class FakeSlurm(Slurm):
    """What it was given and what it will say; a test changes both."""

    jobs: dict[str, list[str]] = field(default_factory=dict)
    """By reference: state, nodes, reason, wait status, restarts, comment."""
    scripts: list[str] = field(default_factory=list)
    config: dict[str, str] = field(default_factory=lambda: {"MaxArraySize": "1001", "MaxJobCount": "10000"})
    refusals: list[CommandError | None] = field(default_factory=list)
    """What the next calls of sbatch say; None is a yes, and so is whatever follows."""
    silent: list[bool] = field(default_factory=list)
    """With anything in it, the controller does not answer."""
    accounts: dict[str, str] = field(default_factory=dict)
    """sacct's lines by array; without any there is no sacct."""

    def submit(self, folder: Path, name: str, *, held: int, timeout: float) -> str:
        """Take an array: 11, 12, 13."""
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            raise refusal
        text = (folder / name).read_text()
        self.scripts.append(text)
        number = str(10 + len(self.scripts))
        for ref in expand(f"{number}_[{option(text, 'array')}]"):
            self.jobs[ref] = ["PENDING", "", "Priority", "0", "0", str(option(text, "comment"))]
        return number

    def ask(
        self,
        *command: str,
        folder: Path | None = None,
        timeout: float = 0,
        held: tuple[int, ...] = (),
    ) -> str:
        """Answer as the program would."""
        if self.silent:
            raise CommandError(f"{command[0]} refused: Unable to contact slurm controller", unsure=True)
        match command[0]:
            case "squeue" if "--jobs" in command:
                return self._squeue(command[command.index("--jobs") + 1].split(","))
            case "squeue" if "ArrayJobID:|,Comment:" in command:
                return "\n".join(f"{ref.split('_')[0]}|{job[5]}" for ref, job in self.jobs.items())
            case "squeue":
                return "\n".join(self.jobs)
            case "scontrol":
                return "\n".join(f"{key} = {value}" for key, value in self.config.items())
            case "sacct" if self.accounts and "-j" in command:
                return "\n".join(self.accounts.get(job, "") for job in command[-1].split(","))
        raise CommandError(f"{command[0]} is not on this machine")

    def becomes(self, ref: str, state: str, nodes: str = "n1", reason: str = "None", status: int = 0) -> None:
        """A job's state changes; `status` as wait(2) gives it."""
        self.jobs[ref][:4] = [state, nodes, reason, str(status)]

    def _squeue(self, arrays: list[str]) -> str:
        found = [ref for ref in self.jobs if ref.split("_")[0] in arrays]
        if not found:
            raise CommandError("squeue refused: slurm_load_jobs error: Invalid job id specified")
        return "\n".join(self._line(ref) for ref in found)

    def _line(self, ref: str) -> str:
        state, nodes, reason, status, restarts, comment = self.jobs[ref]
        return "|".join((ref, state, nodes, reason, status, restarts, "0:00", comment))


def option(script: str, name: str) -> str | None:
    """What a batch script asks for under this name."""
    found = re.search(rf"^#SBATCH --{name}=(.*)$", script, re.MULTILINE)
    return found.group(1) if found else None
