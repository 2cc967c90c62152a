"""A run's metrics as a few hundred numbers that a page can carry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from prefix_rft.runs.jsonl import Record

Curve = tuple[int, list[int], list[float]]
"""Place of the metric in `METRICS`, steps, values."""
POINTS = 120
"""Most points of one curve."""


@dataclass(frozen=True)
class Metric:
    """How a metric is shown."""

    name: str
    """In metrics.jsonl."""
    title: str
    unit: str = ""
    """percent: the recorded share of 1 times 100."""


METRICS = (
    Metric("reward", "Reward, ordinary rollouts", "percent"),
    Metric("reward_hybrid", "Reward, hybrid rollouts", "percent"),
    Metric("validation/accuracy", "Validation accuracy", "percent"),
    Metric("response_length", "Response length", "tokens"),
    Metric("entropy", "Entropy, explored tokens", "nats"),
    Metric("loss", "Loss"),
    Metric("grad_norm", "Gradient norm"),
    Metric("prefix_share", "Prefix in a hybrid response", "percent"),
    Metric("imitated_share", "Imitated among updated tokens", "percent"),
    Metric("reward_gap", "Reward, hybrid minus ordinary", "percent"),
    Metric("grad_share_imitated", "Imitated part of the gradient", "percent"),
    Metric("entropy_imitated", "Entropy, imitated tokens", "nats"),
    Metric("clip_fraction", "Clipped ratios", "percent"),
    Metric("approx_kl", "KL to the rollouts' policy", "nats"),
    Metric("truncated", "Responses cut at the longest length", "percent"),
    Metric("learning_rate", "Learning rate"),
    Metric("time/step", "Time of a rollout step", "s"),
)
"""Those that every page shows where they are recorded, in this order; those of no other name are left to curves.csv."""


def curves(rows: Sequence[Record]) -> list[Curve]:
    """What a run has recorded of `METRICS`.

    Steps are thinned evenly to `POINTS`, the last one always kept; values have four significant digits.
    """
    found = [(place, *_points(rows, metric)) for place, metric in enumerate(METRICS)]
    return [curve for curve in found if curve[1]]


def _points(rows: Iterable[Record], metric: Metric) -> tuple[list[int], list[float]]:
    points = [(int(row["step"]), row[metric.name]) for row in rows if _is_number(row.get(metric.name))]
    stride = -(-len(points) // POINTS) or 1
    kept = points[::-1][::stride][::-1]
    scale = 100 if metric.unit == "percent" else 1
    return [step for step, _ in kept], [float(f"{scale * value:.4g}") for _, value in kept]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
