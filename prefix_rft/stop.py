"""A request to stop, set by a signal and honoured between two rollout steps."""

from __future__ import annotations

import signal
from types import FrameType

EXIT_INTERRUPTED = 75
"""Exit code of a run that saved its work and wants to be started again (EX_TEMPFAIL of sysexits.h)."""


class StopFlag:
    """True once SIGTERM, SIGUSR1 or SIGINT has arrived."""

    def __init__(self) -> None:
        self.signal: str | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def listen(self) -> StopFlag:
        """Install the handlers; only the main thread may."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number).name


class InterruptedRunError(Exception):
    """Training stopped on request; everything up to the last finished step is saved."""
