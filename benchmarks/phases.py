"""Seconds of our rollout step by phase, read off while it runs as it always does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PHASES = ("generate", "grade", "log-probabilities", "backward", "optimizer", "other")
"""`other` is what is left of the step: questions, weights of the method, packing of rows, bookkeeping."""


class Phases:
    """Adds up the seconds of calls, until they are taken."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def timed(self, phase: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, with its seconds counted for this phase; on a CPU a call ends when its work does."""

        def timed(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*given, **named)
            finally:
                self.add(phase, time.perf_counter() - began)

        return timed

    def add(self, phase: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        self._seconds[phase] = self._seconds.get(phase, 0.0) + seconds

    def take(self, wall: float) -> dict[str, float]:
        """Seconds by phase of a step that took so long, which sum to it; the count starts anew."""
        found = {phase: self._seconds.get(phase, 0.0) for phase in PHASES[:-1]}
        self._seconds = {}
        return found | {"other": wall - sum(found.values())}


@contextmanager
def watched(phases: Phases, policy: Any, optimizer: Any) -> Iterator[None]:
    """Count what the update calls: the policy's log-probabilities, PyTorch's backward pass, the optimizer's step."""
    import torch

    backward = torch.autograd.backward
    policy.logprobs = phases.timed("log-probabilities", policy.logprobs)
    optimizer.step = phases.timed("optimizer", optimizer.step)
    torch.autograd.backward = phases.timed("backward", backward)
    try:
        yield
    finally:
        del policy.logprobs, optimizer.step
        torch.autograd.backward = backward
