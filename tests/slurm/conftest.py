"""Cells of a fake stage, and a real SLURM of a few virtual nodes on this machine."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from slurm.arrays import Job
from slurm.book import Book, Key
from slurm.commands import Slurm, own_environment
from slurm.profile import Profile, Resources
from slurm.standing import Standing, standings
from slurm.submit import Outcome, Terms, submit
from slurm.testing.fake import FakeSlurm
from slurm.testing.sandbox import PACKAGES, Sandbox, missing

STAGE = str(Path(__file__).with_name("stage.py"))
PATIENCE_SECONDS = 60.0
PROFILE = Profile(resources=Resources(minutes=5), warn_seconds=1)


@dataclass
class Cells:
    """A folder of cells whose stages are `stage.py`'s, and a cluster to run them on."""

    folder: Path
    slurm: Slurm
    profile: Profile = PROFILE
    names: list[str] = field(default_factory=list)

    @property
    def book(self) -> Book:
        return Book(self.folder)

    def add(self, name: str, **behave: dict) -> str:
        (self.folder / name).mkdir(parents=True)
        self.behave(name, **behave)
        self.names.append(name)
        return name

    def behave(self, name: str, **behave: dict) -> None:
        (self.folder / name / "behave.json").write_text(json.dumps(behave))

    def jobs(self, names: Iterable[str] | None = None) -> list[Job]:
        """Training, then its evaluation, of every cell."""
        listed = list(names or self.names)
        trains = [Job(name, "train", (STAGE, str(self.folder / name), "train")) for name in listed]
        evaluates = [
            Job(name, "evaluate", (STAGE, str(self.folder / name), "evaluate"), after=(name, "train"))
            for name in listed
        ]
        return [*trains, *evaluates]

    def is_done(self, key: Key) -> bool:
        return (self.folder / key[0] / f"{key[1]}.done").exists()

    def submit(self, names: Iterable[str] | None = None, jobs: list[Job] | None = None) -> Outcome:
        terms = Terms(self.profile, sys.executable)
        return submit(
            self.slurm,
            self.book,
            self.jobs(names) if jobs is None else jobs,
            terms,
            is_done=self.is_done,
            snapshot=lambda: Path(__file__).parents[2],
        )

    def standings(self) -> dict[Key, Standing]:
        return standings(self.slurm, self.book, self.is_done)

    def words(self) -> dict[str, tuple[str, ...]]:
        """Of every cell: how its stages stand."""
        found = self.standings()
        return {
            name: tuple(found[name, stage].word for stage in ("train", "evaluate")) for name in self.names
        }

    def begun(self, name: str, stage: str = "train") -> list[str]:
        path = self.folder / name / f"{stage}.begun"
        return path.read_text().splitlines() if path.exists() else []

    def wait(self, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {self.standings()}"
            time.sleep(0.1)

    def settle(self, seconds: float = PATIENCE_SECONDS) -> dict[str, tuple[str, ...]]:
        """Wait until nothing is in the queue; how all cells stand then."""
        self.wait(lambda: all(standing.over for standing in self.standings().values()), seconds)
        return self.words()


@pytest.fixture(scope="module")
def new_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Sandbox]]:
    """Starts a cluster of its own, as asked; skips where SLURM is not installed."""
    started: list[Sandbox] = []

    def start(**asked: Any) -> Sandbox:
        lacking = missing()
        if lacking:
            pytest.skip(f"{', '.join(lacking)} not found; on Debian: apt-get install {PACKAGES}")
        started.append(Sandbox(tmp_path_factory.mktemp("slurm"), **asked))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="module")
def sandbox(new_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """Four virtual nodes of four cores."""
    return new_sandbox()


@pytest.fixture
def faked(tmp_path: Path) -> Cells:
    """No cells yet, and a cluster that says what it is told."""
    return Cells(tmp_path / "cells", FakeSlurm())


@pytest.fixture
def cells(sandbox: Sandbox, tmp_path: Path) -> Iterator[Cells]:
    """No cells yet; afterwards nothing of them is left in the queue."""
    slurm = Slurm({**own_environment(os.environ), **sandbox.environment})
    made = Cells(tmp_path / "cells", slurm)
    yield made
    slurm.try_to_ask("scancel", "--me")
    made.wait(lambda: slurm.ask("squeue", "-h", "--me").strip() == "")
