"""A contestant that takes stated times: what the harness makes of them can be worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.steps import Cost, Turns, Work


@dataclass(frozen=True)
class Stated:
    """Sleeps nowhere; says that a step took so long, and so much longer while it warms up."""

    seconds: float
    warm_up: int
    """Steps before it is warm."""
    cold: float = 100.0
    """Factor of the steps before."""
    decode_steps: int = 32

    def __call__(self, work: Work, turns: Turns, **told: object) -> None:
        """See `benchmarks.steps.Play`; whatever else a contestant is told changes nothing here."""
        taken = 0
        while turns.wait():
            taken += 1
            factor = 1.0 if taken > self.warm_up else self.cold
            turns.done(
                Cost(
                    self.seconds * factor,
                    self.seconds / 2,
                    work.questions * 10,
                    decode_steps=self.decode_steps,
                )
            )
