"""Starts and ends the mirror of a run's metrics to W&B: a process of its own, which cannot hurt the run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefix_rft.errors import RunError
from prefix_rft.runs.state import append_event
from prefix_rft.settings.tracking import TrackingSettings

LOG_FILE = "wandb.log"
INCOMPLETE = "mirror incomplete"
"""The event of a run whose mirror failed or was killed."""
_MIRROR = (sys.executable, "-m", "prefix_rft.runs.mirror")


@dataclass
class MirrorHandle:
    """A running mirror."""

    run_path: Path
    process: subprocess.Popen[bytes]

    def finish(self, timeout: float = 30.0) -> bool:
        """Let the mirror catch up and end; never raises on the mirror's account.

        A mirror that failed, or that is killed because it takes too long, leaves an event `mirror incomplete`.

        Args:
            timeout: seconds to wait.

        Returns:
            Whether every row was mirrored.
        """
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            code = self.process.wait(timeout)
            reason = f"the mirror ended with exit code {code}" if code else None
        except subprocess.TimeoutExpired:
            self.process.kill()  # W&B's own helper watches its parent and ends with it
            self.process.wait()
            reason = f"the mirror was not through after {timeout:g} s and was killed"
        if reason:
            self._record(reason)
        return reason is None

    def _record(self, reason: str) -> None:
        again = mirror_again([self.run_path])
        append_event(self.run_path, INCOMPLETE, reason=reason, log=LOG_FILE, mirror_again=again)


def mirror_again(run_paths: Sequence[Path]) -> str:
    """The command that mirrors what is missing of these runs."""
    return " ".join(["python -m prefix_rft.runs.mirror", *map(str, run_paths)])


def mirror_runs(run_paths: Sequence[Path], log: Path, timeout: float = 300.0) -> bool:
    """Mirror what is missing of runs that nobody works on, by one process after the other work is done.

    Loading W&B and starting its helper costs more than a CPU-second, however many runs it is for: for a sweep
    whose mirror goes to files, this is far cheaper than `start_mirror` in every run.

    Args:
        run_paths: run directories; those with tracking disabled are passed over.
        log: gets what the process prints.
        timeout: seconds until the process is killed.

    Returns:
        Whether every row was mirrored.
    """
    command = [*_MIRROR, *(str(path.absolute()) for path in run_paths)]
    with log.open("ab") as output:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


def start_mirror(run_path: Path, settings: TrackingSettings) -> MirrorHandle | None:
    """Start a process that follows metrics.jsonl; None where tracking is disabled.

    Call it once the run is recorded as running and its metrics are cut back to the checkpoint: the mirror
    ends when the run is no longer running, when `finish` is called, or when this process is gone.

    Args:
        run_path: the run directory.
        settings: where the mirror goes.

    Raises:
        RunError: the process cannot be started.
    """
    if settings.wandb == "disabled":
        return None
    command = [*_MIRROR, str(run_path.absolute())]
    command += ["--follow", str(os.getpid()), "--tracking", settings.model_dump_json()]
    try:
        with (run_path / LOG_FILE).open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
    except OSError as error:
        raise RunError(
            f"cannot start the mirror to W&B: {error}. Set tracking.wandb=disabled to do without it."
        ) from error
    return MirrorHandle(run_path, process)
