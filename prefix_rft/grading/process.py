"""One grading process as its parent holds it: started apart from the caller's session, ended for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO

STARTUP_SECONDS = 120.0
"""Most seconds between the start of a process and its being ready."""
_DYING_SECONDS = 1.0
"""Most seconds between the end of a process's connection and its own."""


@dataclass
class Worker:
    """A worker process as its parent sees it; `deadline` is of the start-up, later of the request `index`."""

    process: subprocess.Popen[bytes]
    connection: Connection
    stderr: IO[bytes]
    deadline: float
    ready: bool = False
    index: int | None = None

    @classmethod
    def start(cls, entry: str, memory_mb: int) -> Worker:
        """Start a process of its own session: a Ctrl-C meant for the caller does not reach it."""
        ours, theirs = Pipe(duplex=True)
        stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `end`)
        arguments = [str(theirs.fileno()), str(os.getpid()), str(memory_mb), entry]
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefix_rft.grading.worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path)},
            )
        return cls(process, ours, stderr, deadline=time.monotonic() + STARTUP_SECONDS)

    def last_words(self) -> str:
        """The end of what the process wrote to standard error before it was ready."""
        self.process.wait()
        self.stderr.seek(0)
        text = self.stderr.read().decode(errors="replace").strip()
        return text[-500:] or f"exit code {self.process.returncode}, no message."

    def was_killed(self) -> bool:
        """Whether the process, whose connection is closed, died of SIGKILL."""
        try:
            return self.process.wait(timeout=_DYING_SECONDS) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False

    def end(self) -> None:
        """Kill the process and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        self.connection.close()
        self.stderr.close()
