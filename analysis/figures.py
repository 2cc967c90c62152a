"""Learning curves, final scores and pass@k as figures for one column of a paper, a column for each base model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis import summary
from analysis.diagnostics import diagnostics
from analysis.drawing import (
    Band,
    Facet,
    Picture,
    band,
    draw_bands,
    facets,
    grid,
    label_ends,
    of_rollouts,
    panel_inches,
    row_looks,
)
from analysis.layout import ONE_RUN
from analysis.results import Results
from analysis.style import RC, Look, darker

FEWEST_K = 3
"""Fewer pass@k make no curve."""


def pictures(results: Results) -> Iterator[Picture]:
    """Every figure that these results give; none without a score.

    Args:
        results: with at least one evaluated run for anything to be drawn.
    """
    if not results.evaluations:
        return
    yield Picture(
        "learning_curves",
        learning_curves(results),
        "Mean over training seeds; the band spans the least and the greatest seed. Curves are trailing "
        "means over a twentieth of their points. A level line is the last validation accuracy of a row that "
        "trains without rollouts.",
    )
    yield Picture(
        "scores",
        final_scores(results),
        f"On the {results.split} split: mean over training seeds with its 95% t-interval over seeds ({ONE_RUN}: "
        "a single run, over questions); band: interval, stroke: mean, dots: single seeds.",
    )
    if len(_ks(results)) >= FEWEST_K:
        yield Picture(
            "pass_at_k",
            pass_at_k(results),
            f"pass@k on the {results.split} split against k (logarithmic); line: mean over training seeds, "
            "band: least and greatest seed.",
        )
    yield from diagnostics(results)


def learning_curves(results: Results) -> Figure:
    """Reward of ordinary rollouts, and validation accuracy; line: mean, band: range over training seeds.

    A row that trains without rollouts (SFT) has optimizer steps, which do not share this axis: its last
    validation accuracy is a level line.
    """
    curves, look, columns = results.frames.curves, row_looks(results), facets(results)
    inches = max(panel_inches(facet.names.values()) for facet in columns)
    with mpl.rc_context(RC):
        figure, (rewards, accuracies) = grid([inches, inches], len(columns))
        for reward, accuracy, facet in zip(rewards, accuracies, columns, strict=True):
            where = f", {facet.base}" if facet.base else ""
            _draw(reward, _bands(curves, facet, "reward"), {}, facet, look, inches)
            levels = _levels(curves, facet)
            _draw(accuracy, _bands(curves, facet, "validation/accuracy"), levels, facet, look, inches)
            reward.set_title(f"Reward of ordinary rollouts (%){where}", loc="left")
            accuracy.set_title(f"Validation accuracy (%){where}", loc="left")
            accuracy.set_xlabel("rollout step")
    return figure


def final_scores(results: Results) -> Figure:
    """Every row's first metric with its 95% interval, its mean, and its single seeds."""
    columns = facets(results)
    names = [name for name in reversed(results.variants) if results.members(name)]
    with mpl.rc_context(RC):
        figure, (panels,) = grid([0.2 * len(names) + 0.1], len(columns))
        for axes, facet in zip(panels, columns, strict=True):
            _draw_scores(axes, results, facet, names)
            axes.set_xlabel(f"{results.metrics[0]} (%){f', {facet.base}' if facet.base else ''}")
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(-0.6, len(names) - 0.4)
    return figure


def pass_at_k(results: Results) -> Figure:
    """pass@k of every row against k; line: mean over training seeds, band: their range."""
    look, columns, ks = row_looks(results), facets(results), _ks(results)
    inches = max(1.8, *(panel_inches(facet.names.values()) for facet in columns))
    with mpl.rc_context(RC):
        figure, (panels,) = grid([inches], len(columns))
        for axes, facet in zip(panels, columns, strict=True):
            bands = {label: _over_k(results, label, ks) for label in facet.names if results.evaluated(label)}
            axes.set_xscale("log", base=2)
            _draw(axes, bands, {}, facet, look, inches)
            for label, curve in bands.items():
                axes.plot(
                    curve.step_S, curve.mean_S, look[label].marker, color=look[label].colour, markersize=3
                )
            axes.set_xlim(ks[0] * 0.9, ks[-1])
            axes.set_xticks(ks, [str(k) for k in ks], fontsize=6.5)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_title(f"pass@k (%){f', {facet.base}' if facet.base else ''}", loc="left")
            axes.set_xlabel("k")
    return figure


def _ks(results: Results) -> list[int]:
    """The k of every pass@k that was asked for; pass@1 is avg@n by another name."""
    names = next(iter(results.evaluations.values())).scores.metrics
    return sorted({1} | {int(name.partition("@")[2]) for name in names if name.startswith("pass@")})


def _over_k(results: Results, label: str, ks: list[int]) -> Band:
    done = results.evaluated(label)
    values = 100 * np.array([[run.question_scores(f"pass@{k}").mean() for run in done] for k in ks])
    return Band(np.array(ks, dtype=float), values.mean(1), values.min(1), values.max(1))


def _bands(curves: pd.DataFrame, facet: Facet, column: str) -> dict[str, Band]:
    made = of_rollouts(curves)
    shown = [label for label in facet.names if label in made]
    found = {label: band(curves[curves["label"] == label], column) for label in shown}
    return {label: curve for label, curve in found.items() if curve is not None}


def _levels(curves: pd.DataFrame, facet: Facet) -> dict[str, float]:
    """Mean over runs of the last validation accuracy, in percent, of the rows that made no rollouts."""
    measured = curves[curves["validation/accuracy"].notna() & ~curves["label"].isin(of_rollouts(curves))]
    last = measured.groupby(["label", "run_id"])["validation/accuracy"].last().groupby("label").mean()
    return {label: 100 * float(last[label]) for label in facet.names if label in last.index}


def _draw(
    axes: Axes,
    bands: Mapping[str, Band],
    levels: Mapping[str, float],
    facet: Facet,
    look: Mapping[str, Look],
    inches: float,
) -> None:
    """Curves and levels in percent, on an axis from 0 to 100."""
    draw_bands(axes, bands, look)
    for label, level in levels.items():
        axes.axhline(level, color=look[label].colour, linestyle=look[label].line, linewidth=1)
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 25))
    ends = {label: float(curve.mean_S[-1]) for label, curve in bands.items()} | dict(levels)
    label_ends(axes, ends, facet.names, look, inches)


def _draw_scores(axes: Axes, results: Results, facet: Facet, names: Sequence[str]) -> None:
    look = row_looks(results)
    for label, name in facet.names.items():
        if results.evaluated(label):
            _draw_score(axes, results, label, names.index(name), look[label])
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 20))


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
