"""Cells of a fake stage, commands that train tiny runs, and a real SLURM of a few virtual nodes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefix_rft.runs.store import RunDir, Store
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
SWEEP_PATIENCE_SECONDS = 300.0
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


SECRET = "0123456789abcdef" * 2 + "secret42"
"""A W&B key."""
TINY = (
    *(
        f"optimisation.rl.{setting}"
        for setting in ("questions_per_step=4", "validate_every=0", "checkpoint_every=50")
    ),
    *(f"optimisation.sft.{setting}" for setting in ("epochs=1", "questions_per_step=16", "validate_every=0")),
    *(f"data.{split}_questions={count}" for split, count in (("train", 32), ("validation", 4), ("test", 6))),
    *(f"evaluation.{setting}" for setting in ("protocol=tiny", "samples=2", "pass_at=[1]")),
    *(
        f"model.{phase}_steps={count}"
        for phase, count in (("single", 0), ("skill", 0), ("polish", 1), ("habit", 1))
    ),
    *(f"model.architecture.{size}" for size in ("hidden_size=16", "intermediate_size=32", "layers=1")),
)


def _hear_ctrl_c() -> None:
    """What a shell starts in the background is deaf to it, and so would be all that the tests start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Door:
    """Commands in one folder, whose name holds what a shell would trip over."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    secret: str = SECRET

    @property
    def store(self) -> Store:
        return Store(self.folder / "runs")

    def say(self, *command: str) -> tuple[int, str]:
        process = self.start(*command)
        try:
            said, _ = process.communicate(timeout=SWEEP_PATIENCE_SECONDS)
        finally:
            process.kill()
        return process.returncode, said

    def start(self, *command: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_API_KEY": self.secret, **self.environment}
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_hear_ctrl_c,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        return self.say("experiments.run", "--multirun", *TINY, *arguments)

    def submit(self, *arguments: str) -> tuple[int, str]:
        return self.run("hydra/launcher=slurm", "cluster=profile.yaml", *arguments)

    def cli(self, *arguments: str) -> tuple[int, str]:
        return self.say("experiments.cli", *arguments)

    def profile(self, **changes: object) -> None:
        resources = {"partition": "low", "minutes": changes.pop("minutes", 30)}
        (self.folder / "profile.yaml").write_text(yaml.safe_dump({"resources": resources, **changes}))

    def wait(
        self, condition: Callable[[], object], what: str, seconds: float = SWEEP_PATIENCE_SECONDS
    ) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}\n{self.cli('status')[1]}"
            time.sleep(0.2)

    def over(self) -> bool:
        return not self.ask("squeue", "-h", "--me").strip()

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, text=True)
        return done.stdout

    def only(self, method: str, seed: int = 0) -> RunDir:
        (found,) = [
            run
            for run in self.store.runs()
            if run.kind == "train" and (run.config().method.name, run.config().seed) == (method, seed)
        ]
        return found

    def start_again(self, run: RunDir, attempt: int) -> None:
        """Wait until the training is back in the queue (or done), and start it without SLURM's two minutes."""

        def requeued() -> bool:
            return "PENDING" in self.ask("squeue", "-h", "-n", "prefix-rft-train", "-o", "%T")

        self.wait(lambda: requeued() or run.stages.is_done("train"), "the requeue")
        for job in self.ask("squeue", "-h", "-t", "PD", "-n", "prefix-rft-train", "-o", "%A").split():
            self.ask("scontrol", "update", f"JobId={job}", "StartTime=now+3")
        self.wait(lambda: run.state().attempt > attempt or run.stages.is_done("train"), "the next attempt")


@pytest.fixture(scope="module")
def new_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Sandbox]]:
    """Starts a cluster of its own, as asked; skips where SLURM is not installed."""
    started: list[Sandbox] = []

    def start(**asked: Any) -> Sandbox:
        lacking = missing(accounts=asked.get("accounts", False))
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


@pytest.fixture(scope="module")
def new_door(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Door]:
    """Commands for a cluster, in a folder of their own."""

    def open_one(cluster: Sandbox, name: str = 'it\'s $HOME `id`\n"here"') -> Door:
        folder = tmp_path_factory.mktemp("door") / name
        folder.mkdir()
        return Door(folder, dict(cluster.environment))

    return open_one


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
