"""What a contestant is: a process that takes steps when it is told to, in turn with the others.

Contestants that take their steps alternately meet other load on the machine alike, and a ratio can be taken of every
turn: what one took over what the other took right after it.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.phases import Phases
from experiments.processes import tuning

WARM_UP = 2
"""Steps of each contestant that do not count."""
_PATIENCE = 10.0
"""Seconds that an abandoned contestant has to end by itself."""


class ContestantDiedError(Exception):
    """A contestant's process ended before its work; its own message stands above."""


@dataclass(frozen=True)
class Work:
    """The work of one step, the same for every contestant."""

    model: Path
    """Folder of the starting model and its tokenizer."""
    questions: int
    rollouts: int
    max_new: int
    learning_rate: float
    threads: int


@dataclass(frozen=True)
class Cost:
    """What one step cost; a rollout step is generation, rewards, gradient and optimizer step."""

    wall: float
    """Seconds."""
    cpu: float
    """Processor seconds of all threads."""
    tokens: int
    """Tokens that were sampled."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds by phase, where the contestant tells them; they sum to `wall`."""
    decode_steps: int = 0
    """Passes of one token over the rows still being written, where the contestant tells them."""
    path: str = ""
    """The code that ran the model, where the contestant has several."""


class Clock:
    """Measures one step."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def cost(self, tokens: int, phases: Phases | None = None, **more: Any) -> Cost:
        """The cost since the clock was made, and what the phases counted meanwhile; `more` are further fields."""
        wall, cpu = time.perf_counter() - self._started[0], time.process_time() - self._started[1]
        return Cost(wall, cpu, tokens, {} if phases is None else phases.take(wall), **more)


class Turns:
    """The contestant's end: waits for its turn, tells what the turn cost."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def wait(self) -> bool:
        """True: take a step; False: there are no more."""
        go: bool = self._connection.recv()
        return go

    def done(self, cost: Cost) -> None:
        """Report one step."""
        self._connection.send(cost)


Play = Callable[[Work, Turns], None]
"""Sets itself up, then takes a step a turn until there are no more."""


class Contestant:
    """The referee's end: a fresh process that runs `play` with its own number of threads."""

    def __init__(self, name: str, play: Play, work: Work) -> None:
        self.name = name
        self.costs: list[Cost] = []
        self.peak_mb = 0.0
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(play, work, theirs), name=name)
        with _threads(work.threads):
            self._process.start()
        theirs.close()

    def step(self, *, counts: bool) -> None:
        """Let it take one step; what does not count is its warm-up."""
        cost = self._ask(True)
        if counts:
            self.costs.append(cost)

    def finish(self) -> None:
        """Let it end; keeps its peak of resident memory."""
        self.peak_mb = self._ask(False)
        self._process.join()

    def abandon(self) -> None:
        """Let it end wherever it is; what it measured is lost."""
        self._connection.close()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def _ask(self, go: bool) -> Any:
        try:
            self._connection.send(go)
            return self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            raise ContestantDiedError(f"{self.name} died with exit code {code}; see above") from None


def take_turns(plays: Mapping[str, Play], work: Work, repetitions: int) -> list[Contestant]:
    """Steps of every contestant in turn, after its warm-up; each has one cost a repetition afterwards.

    Raises:
        ContestantDiedError: one of them ended early; the others are ended too.
    """
    contestants: list[Contestant] = []
    try:
        for name, play in plays.items():
            contestants.append(Contestant(name, play, work))
        for turn in range(WARM_UP + repetitions):
            for contestant in contestants:
                contestant.step(counts=turn >= WARM_UP)
        for contestant in contestants:
            contestant.finish()
    except BaseException:
        for contestant in contestants:
            contestant.abandon()
        raise
    return contestants


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Processes that are started meanwhile, ours and the peer's, get the environment that the suite gives its runs.

    It is read when they start: threads by PyTorch and MKL, thresholds of memory by glibc.
    """
    ours = tuning(count)
    before = {name: os.environ.get(name) for name in ours}
    os.environ |= ours
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def _run(play: Play, work: Work, connection: Connection) -> None:
    play(work, Turns(connection))
    connection.send(machine.peak_mb())
