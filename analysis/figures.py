"""Learning curves and final scores as figures for one column of a paper, PNG and PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis import summary
from analysis.layout import ONE_RUN
from analysis.results import Results
from analysis.style import COLUMN_INCHES, RC, Look, darker, looks
from prefix_rft.runs.atomic import write_bytes

LABEL_GAP = 0.07
"""Least distance of two labels at the right edge, as a share of the axis."""
Numbers = NDArray[np.float64]
POINTS_TO_SMOOTH = 20
"""A reward curve is smoothed over a window of one in so many of its points."""


@dataclass(frozen=True)
class Band:
    """One row's curve in percent against the rollout step: mean and range over training seeds; all [S]."""

    step_S: Numbers
    mean_S: Numbers
    low_S: Numbers
    high_S: Numbers


def learning_curves(results: Results) -> Figure:
    """Reward of ordinary rollouts, and validation accuracy; line: mean, band: range over training seeds.

    A row that trains without rollouts (SFT) has optimizer steps, which do not share this axis: its last
    validation accuracy is a level line.
    """
    curves, look = results.frames.curves, _looks(results)
    with mpl.rc_context(RC):
        figure, (reward, accuracy) = _axes(2, height=3.9)
        _draw_bands(reward, _bands(curves, look, "reward"), look)
        _draw_bands(accuracy, _bands(curves, look, "validation/accuracy"), look, _levels(curves, look))
        reward.set_title("Reward of ordinary rollouts (%)", loc="left")
        accuracy.set_title("Validation accuracy (%)", loc="left")
        accuracy.set_xlabel("rollout step")
    return figure


def final_scores(results: Results) -> Figure:
    """Every row's first metric with its 95% interval, its mean, and its single seeds."""
    look = _looks(results)
    labels = [label for label in reversed(results.labels) if results.evaluated(label)]
    with mpl.rc_context(RC):
        figure, (axes,) = _axes(1, height=0.62 + 0.27 * len(labels))
        for height, label in enumerate(labels):
            _draw_score(axes, results, label, height, look[label])
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(-0.6, len(labels) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 100)
        axes.set_xticks(range(0, 101, 20))
        axes.set_xlabel(f"{results.metrics[0]} (%)")
    return figure


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
        write_bytes(folder / f"{name}.{kind}", buffer.getvalue(), durable=False)
        written.append(folder / f"{name}.{kind}")
    return written


def band(curves: pd.DataFrame, column: str) -> Band | None:
    """Mean, least and greatest over the runs of one row, in percent.

    Each run is smoothed by a trailing mean first. Steps that some run has not recorded are left out, so
    that a mean is always over the same runs.
    """
    wide = curves.pivot_table(index="step", columns="run_id", values=column).sort_index()
    wide = wide[wide.notna().all(axis=1)]
    if wide.empty:
        return None
    smooth = 100 * wide.rolling(max(1, len(wide) // POINTS_TO_SMOOTH), min_periods=1).mean()
    values = smooth.to_numpy(dtype=float)
    return Band(smooth.index.to_numpy(dtype=float), values.mean(1), values.min(1), values.max(1))


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones, at least `gap` apart, within [low, high] where there is room."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [min(max(wanted[i], low), high) for i in order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    for i in range(len(placed) - 1, -1, -1):
        ceiling = high if i == len(placed) - 1 else placed[i + 1] - gap
        placed[i] = min(placed[i], ceiling)
    back = dict(zip(order, placed, strict=True))
    return [back[i] for i in range(len(wanted))]


def _looks(results: Results) -> dict[str, Look]:
    return looks((label, results.method(label)) for label in results.labels)


def _axes(rows: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(COLUMN_INCHES, height), layout="constrained")
    return figure, list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])


def _of_rollouts(curves: pd.DataFrame) -> set[str]:
    """Labels whose runs made rollouts, so that their steps are rollout steps."""
    return set(curves.loc[curves["reward"].notna(), "label"])


def _bands(curves: pd.DataFrame, look: Mapping[str, Look], column: str) -> dict[str, Band]:
    shown = [label for label in look if label in _of_rollouts(curves)]
    found = {label: band(curves[curves["label"] == label], column) for label in shown}
    return {label: curve for label, curve in found.items() if curve is not None}


def _levels(curves: pd.DataFrame, look: Mapping[str, Look]) -> dict[str, float]:
    """Mean over runs of the last validation accuracy, in percent, of the labels that made no rollouts."""
    measured = curves[curves["validation/accuracy"].notna() & ~curves["label"].isin(_of_rollouts(curves))]
    last = measured.groupby(["label", "run_id"])["validation/accuracy"].last().groupby("label").mean()
    return {label: 100 * float(last[label]) for label in look if label in last.index}


def _draw_bands(
    axes: Axes, bands: Mapping[str, Band], look: Mapping[str, Look], levels: Mapping[str, float] | None = None
) -> None:
    for label, curve in bands.items():
        axes.set_xlim(0, max(axes.get_xlim()[1], curve.step_S[-1]))
        axes.fill_between(
            curve.step_S, curve.low_S, curve.high_S, color=look[label].colour, alpha=0.18, linewidth=0
        )
        axes.plot(curve.step_S, curve.mean_S, color=look[label].colour, linestyle=look[label].line)
    for label, level in (levels or {}).items():
        axes.axhline(level, color=look[label].colour, linestyle=look[label].line, linewidth=1)
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 25))
    ends = {label: float(curve.mean_S[-1]) for label, curve in bands.items()} | dict(levels or {})
    _label_ends(axes, ends, look)


def _label_ends(axes: Axes, ends: Mapping[str, float], look: Mapping[str, Look]) -> None:
    """Names beside the right ends of the lines, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    placed = spread(list(ends.values()), LABEL_GAP * (high - low), low, high)
    for (label, end), height in zip(ends.items(), placed, strict=True):
        axes.annotate(
            label,
            xy=(1.0, end),
            xytext=(1.03, height),
            xycoords=axes.get_yaxis_transform(),
            textcoords=axes.get_yaxis_transform(),
            color=darker(look[label].colour),
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": look[label].colour,
                "linewidth": 0.5,
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )


def _draw_score(axes: Axes, results: Results, label: str, height: int, look: Look) -> None:
    done, metric = results.evaluated(label), results.metrics[0]
    of = summary.of_metric(done, metric)
    mean, half = 100 * of.mean, 100 * (of.half_width or 0.0)
    seeds = [100 * float(evaluation.question_scores(metric).mean()) for evaluation in done]
    axes.hlines(
        height, max(mean - half, 0), min(mean + half, 100), color=look.colour, linewidth=3.5, alpha=0.35
    )
    axes.plot(seeds, [height] * len(seeds), ".", color=look.colour, markersize=2.5)
    axes.plot(mean, height, "|", color=darker(look.colour), markersize=9, markeredgewidth=1.2)
    half_shown = "" if of.half_width is None else f" ± {half:.1f}"
    mark = ONE_RUN if of.interval == "questions" else ""
    axes.text(
        1.03,
        height,
        f"{mean:.1f}{half_shown}{mark}",
        transform=axes.get_yaxis_transform(),
        va="center",
        color=darker(look.colour),
    )
