"""Looks at a run from outside: where it stands, its newest numbers, and how fast it goes."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.pace import StagePace
from prefix_rft.errors import PrefixRftError
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.mirror import Tail
from prefix_rft.runs.store import RunDir


@dataclass(frozen=True)
class View:
    """A run as it stands."""

    stage: str = ""
    """train, or evaluate and the split."""
    step: int | None = None
    total_steps: int | None = None
    reward: float | None = None
    """Mean reward of ordinary rollouts, newest."""
    accuracy: float | None = None
    """On the validation split, newest."""
    to_go: float | None = None
    """Seconds until the end of the stage."""


class Watch:
    """Follows one run; each look reads only what the run has written since the last one."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._rows = Tail(run.path / METRICS_FILE)
        self._newest: dict[str, float] = {}
        self._pace = StagePace()

    def look(self, now: float) -> View:
        """The run as it stands; `now` in seconds on any clock that does not jump.

        What cannot be read ends the run's own process, with the reason; looking on must not end anything.
        """
        try:
            rows, state = self._rows.read(), self._run.state()
        except (PrefixRftError, ValueError):
            return View(stage="unreadable")
        for row in rows:
            self._newest.update(row)
        if state.step is not None:
            self._pace.see(state.stage, state.step, now)
        return View(
            stage=" ".join((state.stage or "").split("/")[:2]),
            step=state.step,
            total_steps=state.total_steps,
            reward=self._newest.get("reward"),
            accuracy=self._newest.get("validation/accuracy"),
            to_go=self._pace.to_go(state.total_steps, now) if state.total_steps else None,
        )
