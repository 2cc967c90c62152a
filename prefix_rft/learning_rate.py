"""The learning rate's course over the optimizer steps of a run; the same on every backend."""

from __future__ import annotations

import math

from prefix_rft.settings import RlPhase, SftPhase

Phase = SftPhase | RlPhase


def learning_rate(phase: Phase, update: int, updates: int) -> float:
    """Learning rate of optimizer step `update` (from 0) of `updates`: linear warm-up, then constant or cosine."""
    warmup = round(phase.warmup_fraction * updates)
    if update < warmup:
        return phase.learning_rate * (update + 1) / warmup
    if phase.decay == "constant":
        return phase.learning_rate
    progress = (update - warmup) / max(1, updates - 1 - warmup)
    share = phase.final_share + (1 - phase.final_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return phase.learning_rate * share
