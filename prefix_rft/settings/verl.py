"""What of the optimisation settings verl cannot do, and what to set instead; imports without verl.

Where each of the others goes stands in `prefix_rft.verl_backend.translation`; a test sees that none is in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass

from prefix_rft.settings.optimisation import OptimisationSettings, RlPhase


@dataclass(frozen=True)
class Limit:
    """A setting of reinforcement learning of which verl can do some values only."""

    holds: Callable[[RlPhase], bool]
    """Whether verl can do it."""
    reason: str
    """Why not, and what to set."""


LIMITS: dict[str, Limit] = {
    "gradient_norms_every": Limit(
        lambda rl: rl.gradient_norms_every == 0,
        "its workers take no second backward pass for a part of the gradient; set 0",
    ),
}
"""By field."""


def not_honoured(optimisation: OptimisationSettings, phases: Set[str]) -> list[str]:
    """What verl cannot do of the phases that a method passes through, each with what to set instead."""
    refused = []
    if optimisation.on_nonfinite == "skip":
        refused.append(
            "optimisation.on_nonfinite=skip: its workers measure a step by taking it; set stop, and the run goes on "
            "from its last checkpoint when it is asked for again"
        )
    if "rl" not in phases:
        return refused
    return refused + [
        f"optimisation.rl.{name}={getattr(optimisation.rl, name)}: {limit.reason}"
        for name, limit in LIMITS.items()
        if not limit.holds(optimisation.rl)
    ]
