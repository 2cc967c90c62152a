"""What a contestant of the step benchmark is: a process that takes rollout steps when it is told to."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Work:
    """The work of one rollout step, the same for every contestant."""

    model: Path
    """Folder of the starting model and its tokenizer."""
    questions: int
    rollouts: int
    max_new: int
    learning_rate: float
    threads: int


@dataclass(frozen=True)
class Cost:
    """What one rollout step cost: generation, rewards, gradient and optimizer step."""

    wall: float
    """Seconds."""
    cpu: float
    """Processor seconds of all threads."""
    tokens: int
    """Tokens that were sampled."""


class Clock:
    """Measures one step."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def cost(self, tokens: int) -> Cost:
        """The cost since the clock was made."""
        wall, cpu = self._started
        return Cost(time.perf_counter() - wall, time.process_time() - cpu, tokens)


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
        # Read by the math libraries when they are first imported.
        os.environ["OMP_NUM_THREADS"] = str(work.threads)
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

    def _ask(self, go: bool) -> Any:
        try:
            self._connection.send(go)
            return self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise SystemExit(f"{self.name} died with exit code {self._process.exitcode}; see above") from None


def _run(play: Play, work: Work, connection: Connection) -> None:
    import torch

    torch.set_num_threads(work.threads)
    play(work, Turns(connection))
    connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
