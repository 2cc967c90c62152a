"""The share of a demonstration that is offered: its lower end at each rollout step, and the draw itself."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from prefix_rft.settings.schedule import (
    ConstantPrefix,
    CosinePrefix,
    LinearPrefix,
    PrefixSchedule,
    UniformPrefix,
)


def low_end(schedule: PrefixSchedule, step: int, total_steps: int) -> float:
    """Lower end of the drawn share at one rollout step (Prefix-RFT, appendix A.2).

    Args:
        schedule: the settings.
        step: rollout step s, from 0.
        total_steps: S, rollout steps of the run.
    """
    match schedule:
        case UniformPrefix():
            return schedule.low
        case ConstantPrefix():
            return schedule.share
        case CosinePrefix() | LinearPrefix():
            return decayed(
                schedule.kind,
                schedule.start,
                schedule.end,
                step=max(0, step - schedule.delay_steps),
                steps=schedule.decay_fraction * total_steps,
                warmup_steps=_whole(schedule.warmup_fraction * total_steps),
            )


def draw_share(schedule: PrefixSchedule, step: int, total_steps: int, rng: np.random.Generator) -> float:
    """A share drawn from Beta(a, b) mapped onto [low end, high]; a constant schedule draws nothing."""
    low = low_end(schedule, step, total_steps)
    if isinstance(schedule, ConstantPrefix):
        return low
    return low + (schedule.high - low) * float(rng.beta(schedule.beta_a, schedule.beta_b))


def decayed(
    kind: Literal["cosine", "linear"],
    start: float,
    end: float,
    step: int,
    steps: float,
    warmup_steps: int = 0,
) -> float:
    """A linear rise from 0 to `start` over `warmup_steps`, then a fall to `end` over the following `steps`.

    The fall is not shortened by the warm-up: `end` is reached at `warmup_steps + steps`, as in the reference.
    """
    if step < warmup_steps:
        return start * step / warmup_steps
    progress = min(1.0, (step - warmup_steps) / steps)
    left = 1.0 - progress if kind == "linear" else (1.0 + math.cos(math.pi * progress)) / 2.0
    return end + (start - end) * left


def _whole(steps: float) -> int:
    # 0.29 * 100 is 28.999999999999996: rounding first keeps the step that was meant.
    return math.floor(round(steps, 9))
