"""The front door as a user meets it: commands in an empty folder, on a task of a few questions and a tiny model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from prefix_rft.runs.store import RunDir, Store

PATIENCE_SECONDS = 120.0
TINY = (
    "tracking=disabled",
    *(f"optimisation.rl.{setting}" for setting in ("steps=4", "questions_per_step=4", "validate_every=0")),
    *(f"optimisation.sft.{setting}" for setting in ("epochs=1", "questions_per_step=16", "validate_every=0")),
    *(f"data.{split}_questions={count}" for split, count in (("train", 32), ("validation", 4), ("test", 6))),
    *(f"evaluation.{setting}" for setting in ("protocol=tiny", "samples=2", "pass_at=[1]")),
    *(
        f"model.{phase}_steps={count}"
        for phase, count in (("single", 0), ("skill", 0), ("polish", 1), ("habit", 1))
    ),
    *(f"model.architecture.{size}" for size in ("hidden_size=16", "intermediate_size=32", "layers=1")),
)
"""Seconds a run, nearly all of them imports."""


@dataclass
class Door:
    """Commands started in one folder, whose store is `runs` below it."""

    folder: Path
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(self.folder / "runs")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`python -m experiments.run` with these arguments and the tiny settings."""
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.run", *TINY, *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._processes.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and what was said on standard error."""
        return self.end(self.start(*arguments))

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """The same of a command that was started."""
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, said

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
            time.sleep(0.005)

    def only(self, method: str, seed: int = 0) -> RunDir:
        """The one training run of this method and seed."""
        (found,) = [
            run
            for run in self.store.runs()
            if run.kind == "train" and (run.config().method.name, run.config().seed) == (method, seed)
        ]
        return found

    def base(self) -> RunDir:
        (found,) = [run for run in self.store.runs() if run.kind == "base"]
        return found

    def stop_all(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One folder for all tests of a file."""
    opened = Door(tmp_path_factory.mktemp("door"))
    yield opened
    opened.stop_all()


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """The settings of every command that `door` starts."""
    return TINY
