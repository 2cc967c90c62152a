"""Inside a job: `python -m slurm.task`, started by the batch script in the array's folder.

Starts the stage as a child, tells it to save when SLURM warns (time limit, preemption) or ends the job, requeues the
job where the stage wants to go on, and writes down how it began and ended. Its exit code is the stage's, so that SLURM
says FAILED of what failed and keeps from starting what waits for it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from slurm.commands import Slurm
from slurm.errors import CommandError

TASKS_FILE = "tasks.json"
CLOSED_FILE = "closed"
"""Where it is there, the array was given up for never submitted: its jobs end without doing anything."""
ENDS = "ends"
TO_CONTINUE = 75
"""A stage's exit code: it saved its work and wants to be started again."""
GIVEN_UP = 79
_REQUEUE_PATIENCE_SECONDS = 45.0
_OTHER_VENDORS = ("ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


@dataclass(frozen=True)
class Place:
    """Which job this is, from SLURM's own variables."""

    job: str
    """Its number, unique also within an array."""
    ref: str
    """12_3."""
    index: int
    restarts: int
    node: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Place:
        """This process's job."""
        array, index = environment["SLURM_ARRAY_JOB_ID"], environment["SLURM_ARRAY_TASK_ID"]
        restarts = int(environment.get("SLURM_RESTART_COUNT", "0"))
        node = environment.get("SLURMD_NODENAME", socket.gethostname())
        return cls(environment["SLURM_JOB_ID"], f"{array}_{index}", int(index), restarts, node)


class Stage:
    """The child, and what SLURM said meanwhile."""

    def __init__(self, command: list[str], folder: str, environment: Mapping[str, str]) -> None:
        self.warned: str | None = None
        self._child: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._warn)
        if self.warned is None:
            self._child = subprocess.Popen(
                [sys.executable, *command], cwd=folder, env={**of_one_vendor(os.environ), **environment}
            )
            if self.warned is not None:
                self._child.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The child's exit code, negative for a signal; one that was never started wants to be."""
        return TO_CONTINUE if self._child is None else self._child.wait()

    def _warn(self, number: int, frame: FrameType | None) -> None:
        self.warned = self.warned or signal.Signals(number).name
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)


def of_one_vendor(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment that names the job's GPUs once.

    Where a cluster does not detect whose its GPUs are, SLURM names them to AMD's and Intel's programs too, and verl
    refuses to start where both NVIDIA's variable and AMD's are set.
    """
    if "CUDA_VISIBLE_DEVICES" not in environment:
        return dict(environment)
    return {key: value for key, value in environment.items() if key not in _OTHER_VENDORS}


def main() -> int:
    """Entry point; returns the exit code."""
    place, folder = Place.of(os.environ), Path.cwd()
    if (folder / CLOSED_FILE).exists():
        print(f"{place.ref}: given up before SLURM had it; another array does its work", file=sys.stderr)
        return GIVEN_UP
    tasks = json.loads((folder / TASKS_FILE).read_text())
    task = tasks["tasks"][str(place.index)]
    _record(folder, place)
    stage = Stage(task["command"], tasks["folder"], task["environment"])
    code = stage.wait()
    said = _after(place, code, stage.warned, tasks["max_requeues"])
    _record(folder, place, code=code, warned=stage.warned, **said)
    if said.get("requeue"):
        print(f"{place.ref}: {stage.warned}, saved; back into the queue", file=sys.stderr)
        _requeue(place)
    return code if code >= 0 else 128 - code


def _after(place: Place, code: int, warned: str | None, max_requeues: int) -> dict[str, Any]:
    """Whether the job goes back into the queue, or why not."""
    if warned is None or code not in (TO_CONTINUE, -signal.SIGTERM):
        return {}
    state = _state(place)
    if state not in ("RUNNING", None):
        return {"why": f"not requeued: SLURM says {state}"}
    if place.restarts >= max_requeues:
        return {
            "why": f"requeued {place.restarts} times already (max_requeues of the profile): something is wrong"
        }
    return {"requeue": True}


def _state(place: Place) -> str | None:
    """SLURM's word for this job; None where it does not say."""
    text = Slurm().try_to_ask("scontrol", "--oneliner", "show", "job", place.job, timeout=20)
    found = re.search(r"\bJobState=(\S+)", text or "")
    return found.group(1) if found else None


def _requeue(place: Place) -> None:
    """Also a controller that is being restarted answers after some seconds."""
    deadline = time.monotonic() + _REQUEUE_PATIENCE_SECONDS
    while True:
        try:
            Slurm().ask("scontrol", "requeue", place.job, timeout=20)
        except CommandError as error:
            if time.monotonic() > deadline:
                print(f"{place.ref}: cannot be requeued: {error}", file=sys.stderr)
                return
            time.sleep(1)
        else:
            return


def _record(folder: Path, place: Place, **end: Any) -> None:
    """How the job began, and ended: replaced as a whole."""
    (folder / ENDS).mkdir(exist_ok=True)
    values = {"ref": place.ref, "node": place.node, "restarts": place.restarts, "time": _now(), **end}
    temporary = folder / ENDS / f".tmp-{place.index}-{os.getpid()}"
    temporary.write_text(json.dumps(values))
    temporary.replace(folder / ENDS / f"{place.index}.json")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    sys.exit(main())
