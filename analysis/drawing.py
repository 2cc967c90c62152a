"""Curves over training steps: means and ranges over seeds, names beside their ends, one column a base model."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.results import Results
from analysis.style import COLUMN_INCHES, RC, Look, darker, looks
from prefix_rft.runs.atomic import write_bytes

Numbers = NDArray[np.float64]
POINTS_TO_SMOOTH = 20
"""A curve is smoothed over a window of one in so many of its points."""
_LINE_INCHES = 0.118
"""Height of a line of label text."""
_LABEL_CHARACTERS = 20
"""Longer labels are broken into lines."""
_LEAST_PANEL = 1.35
"""Inches; panels grow with the number of their labels."""


@dataclass(frozen=True)
class Picture:
    """A figure with what has to be said under it."""

    name: str
    """Of its files."""
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Band:
    """One row's curve against the step: mean and range over training seeds; all [S]."""

    step_S: Numbers
    mean_S: Numbers
    low_S: Numbers
    high_S: Numbers


@dataclass(frozen=True)
class Facet:
    """The rows on one base model."""

    base: str
    """In words; empty where there is only one base model."""
    names: Mapping[str, str]
    """What a row is called in the figure, by its label."""


def facets(results: Results) -> list[Facet]:
    """The rows by base model: a column of panels each."""
    return [
        Facet(base, {label: name for label, (name, of) in results.places.items() if of == base})
        for base in results.bases
    ]


def row_looks(results: Results) -> dict[str, Look]:
    """A look for every row; a variant has the same one on every base model."""
    look = looks((variant, results.method_of(variant)) for variant in results.variants)
    return {label: look[variant] for label, (variant, _) in results.places.items()}


def grid(rows: Sequence[float], columns: int) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a shared step axis, and its panels row by row.

    Args:
        rows: height of every row of panels in inches.
        columns: each as wide as a column of a paper.
    """
    size = (COLUMN_INCHES * columns, sum(rows) + 0.3 * len(rows) + 0.25)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(
        len(rows), columns, sharex="col", sharey="row", squeeze=False, height_ratios=list(rows)
    )
    return figure, [list(line) for line in panels]


def panel_inches(labels: Iterable[str]) -> float:
    """Height at which these labels have room beside the panel."""
    return max(_LEAST_PANEL, _LINE_INCHES * sum(_wrapped(label).count("\n") + 1 for label in labels))


def band(curves: pd.DataFrame, column: str, scale: float = 100) -> Band | None:
    """Mean, least and greatest over the runs of one row, times `scale` (100: in percent).

    Each run is smoothed by a trailing mean first. Steps that some run has not recorded are left out, so
    that a mean is always over the same runs.
    """
    recorded = curves.loc[curves[column].notna(), ["step", "run_id", column]]
    wide = recorded.pivot(index="step", columns="run_id", values=column).sort_index()
    wide = wide[wide.notna().all(axis=1)]
    if wide.empty:
        return None
    smooth = scale * wide.rolling(max(1, len(wide) // POINTS_TO_SMOOTH), min_periods=1).mean()
    values = smooth.to_numpy(dtype=float)
    return Band(smooth.index.to_numpy(dtype=float), values.mean(1), values.min(1), values.max(1))


def draw_bands(axes: Axes, bands: Mapping[str, Band], look: Mapping[str, Look]) -> None:
    """Lines with their bands, by label; an axis of steps begins at 0."""
    for label, curve in bands.items():
        if axes.get_xscale() == "linear":
            axes.set_xlim(0, max(axes.get_xlim()[1], curve.step_S[-1]))
        axes.fill_between(
            curve.step_S, curve.low_S, curve.high_S, color=look[label].colour, alpha=0.15, linewidth=0
        )
        axes.plot(curve.step_S, curve.mean_S, color=look[label].colour, linestyle=look[label].line)


def label_ends(
    axes: Axes, ends: Mapping[str, float], names: Mapping[str, str], look: Mapping[str, Look], inches: float
) -> None:
    """Names beside the right ends of the lines, moved apart where they would overlap.

    Args:
        axes: its limits are final.
        ends: height of the line's end by label.
        names: what each is called.
        look: by label.
        inches: height of the panel.
    """
    low, high = axes.get_ylim()
    texts = [_wrapped(names[label]) for label in ends]
    lines = max((text.count("\n") + 1 for text in texts), default=1)
    gap = lines * _LINE_INCHES / inches * (high - low)
    placed = spread(list(ends.values()), gap, low, high)
    beside = axes.get_yaxis_transform()
    for label, text, height in zip(ends, texts, placed, strict=True):
        colour = look[label].colour
        axes.plot(
            [1.0, 1.03], [ends[label], height], "-", color=colour, lw=0.5, transform=beside, clip_on=False
        )
        axes.text(1.04, height, text, color=darker(colour), va="center", linespacing=0.95, transform=beside)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions nearest to the wanted ones, at least `gap` apart, within [low, high] where there is room.

    Labels that would overlap are centred on where they want to be together (isotonic regression of the
    positions less their ranks' gaps); where there is no room they hang from `high`.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    clusters: list[list[float]] = []
    for rank, i in enumerate(order):
        clusters.append([wanted[i] - rank * gap])
        while len(clusters) > 1 and _mean(clusters[-2]) >= _mean(clusters[-1]):
            last = clusters.pop()
            clusters[-1] += last
    ceiling = high - gap * (len(wanted) - 1)
    level = [min(max(_mean(cluster), low), ceiling) for cluster in clusters for _ in cluster]
    placed = {i: level[rank] + rank * gap for rank, i in enumerate(order)}
    return [placed[i] for i in range(len(wanted))]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes <name>.png and <name>.pdf; the same figure gives the same bytes."""
    written = []
    for kind, metadata in (
        ("png", {"Software": None}),
        ("pdf", {"CreationDate": None, "Producer": None, "Creator": None}),
    ):
        buffer = BytesIO()
        with mpl.rc_context(RC):
            figure.savefig(buffer, format=kind, metadata=metadata)
        figure.set_layout_engine("none")  # laid out once, which takes most of the time
        write_bytes(folder / f"{name}.{kind}", buffer.getvalue(), durable=False)
        written.append(folder / f"{name}.{kind}")
    return written


def of_rollouts(curves: pd.DataFrame) -> set[str]:
    """Labels whose runs made rollouts, so that their steps are rollout steps."""
    made = [column for column in ("reward", "reward_hybrid", "decode_steps") if column in curves]
    return set(curves.loc[curves[made].notna().any(axis=1), "label"])


def _wrapped(label: str) -> str:
    return textwrap.fill(label, _LABEL_CHARACTERS, break_long_words=False)
