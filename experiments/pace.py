"""How long things take: seconds to go of one run's stage, and of all runs together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class StagePace:
    """The speed of one run's present stage, from the steps seen since it began or was first looked at."""

    stage: str | None = None
    first_step: int = 0
    first_seen: float = 0.0
    step: int = 0
    moved: float = 0.0
    """When `step` was first seen."""

    def see(self, stage: str | None, step: int, now: float) -> None:
        """The run stands at this step; a step back (sampling is over, grading begins) starts a new count."""
        if stage != self.stage or step < self.step:
            self.stage, self.first_step, self.first_seen = stage, step, now
            self.step, self.moved = step, now
        elif step > self.step:
            self.step, self.moved = step, now

    def to_go(self, total_steps: int, now: float) -> float | None:
        """Seconds until the stage's last step; None until a step was seen to pass."""
        if self.step <= self.first_step:
            return None
        seconds_a_step = (self.moved - self.first_seen) / (self.step - self.first_step)
        return max(0.0, seconds_a_step * (total_steps - self.step) - (now - self.moved))


@dataclass
class Forecast:
    """When the last run will end, judged by runs of the same sort that ended, or that are well under way."""

    slots: int
    """Runs at a time."""
    _began: dict[str, float] = field(default_factory=dict)
    _took: dict[str, list[float]] = field(default_factory=dict)

    def began(self, run_id: str, now: float) -> None:
        """A run is at work; telling it again changes nothing."""
        self._began.setdefault(run_id, now)

    def ended(self, run_id: str, sort: str, now: float) -> None:
        """A run is done."""
        if run_id in self._began:
            self._took.setdefault(sort, []).append(now - self._began.pop(run_id))

    def elapsed(self, run_id: str, now: float) -> float:
        """Seconds that a run has been at work."""
        return now - self._began.get(run_id, now)

    def to_go(
        self, waiting: Sequence[str], running: Mapping[str, tuple[str, float | None]], now: float
    ) -> float | None:
        """Seconds until all is done; None as long as no run tells how long any takes.

        Args:
            waiting: the sort of each run that has not begun.
            running: run id -> its sort, and the seconds to go of its present stage where known.
            now: on the same clock as the other calls.
        """
        expected = self._expected(running, now)
        if not expected:
            return None
        usual = _mean(expected.values())
        left = [
            max(expected.get(sort, usual) - self.elapsed(run_id, now), stage or 0.0)
            for run_id, (sort, stage) in running.items()
        ]
        left += [expected.get(sort, usual) for sort in waiting]
        return max(sum(left) / self.slots, *left, 0.0) if left else 0.0

    def _expected(self, running: Mapping[str, tuple[str, float | None]], now: float) -> dict[str, float]:
        """Seconds that a run of each sort takes: what ended ones took, else what running ones promise."""
        promised = {
            sort: self.elapsed(run_id, now) + stage
            for run_id, (sort, stage) in running.items()
            if stage is not None
        }
        return promised | {sort: _mean(seconds) for sort, seconds in self._took.items()}


def clock(seconds: float) -> str:
    """8 s, 1:10, 2:03:04."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)
