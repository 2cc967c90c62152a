"""Learning curves: reward of rollouts and validation accuracy against the rollout step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.drawing import (
    Band,
    Facet,
    Picture,
    Rows,
    band,
    by_label,
    counts,
    draw_bands,
    left_out,
    of_rollouts,
    rows_in,
    rows_of,
    sentence,
    step_axis,
)
from analysis.figure_layout import arrange, grid, label_ends, panel_inches
from analysis.results import Results
from analysis.style import RC, Look

REWARD, ACCURACY = "reward", "validation/accuracy"
_CAPTION = (
    "Mean over training seeds; the band spans the least and the greatest seed. Curves are trailing means over a "
    "twentieth of their points."
)


def curve_pictures(results: Results) -> Iterator[Picture]:
    """The learning curves of a comparison; nothing where no run has recorded any."""
    curves, rows = results.frames.curves, rows_of(results)
    made = of_rollouts(curves)
    levels = _levels(curves, made)
    if not made and not levels:
        return
    still = [label for label in results.labels if label not in made and label not in levels]
    yield Picture(
        "learning_curves",
        learning_curves(curves, rows),
        sentence(
            _CAPTION,
            "A level line is the last validation accuracy of a row that trains without rollouts."
            if levels
            else "",
            counts(results),
            left_out(dict.fromkeys(still, "no curve recorded")),
        ),
    )


def learning_curves(curves: pd.DataFrame, rows: Rows | None = None) -> Figure:
    """Reward of ordinary rollouts, and validation accuracy; line: mean, band: range over training seeds.

    A row that trains without rollouts (SFT) has optimizer steps, which do not share this axis: its last
    validation accuracy is a level line.

    Args:
        curves: label, run_id, step, reward and validation/accuracy (shares of 1, empty where not recorded);
            `Results.frames.curves` or any part of it.
        rows: names, places and looks; None takes them from the frame.
    """
    rows = rows or rows_in(curves)
    inches = max(panel_inches(facet.names.values()) for facet in rows.facets)
    made, of_row = of_rollouts(curves), by_label(curves)
    shown = {label: of for label, of in of_row.items() if label in made}
    levels = _levels(curves, made)
    with mpl.rc_context(RC):
        figure, (rewards, accuracies) = grid([inches, inches], len(rows.facets))
        for reward, accuracy, facet in zip(rewards, accuracies, rows.facets, strict=True):
            _draw(reward, _bands(shown, facet, REWARD), {}, facet, rows.looks, inches)
            own = {label: level for label, level in levels.items() if label in facet.names}
            _draw(accuracy, _bands(shown, facet, ACCURACY), own, facet, rows.looks, inches)
            reward.set_title(facet.headed("Reward of ordinary rollouts (%)"), loc="left")
            accuracy.set_title("Validation accuracy (%)", loc="left")
            step_axis(accuracy)
        arrange(figure, [inches, inches], columns=len(rows.facets))
    return figure


def _bands(of_row: Mapping[str, pd.DataFrame], facet: Facet, column: str) -> dict[str, Band]:
    found = {label: band(of_row[label], column) for label in facet.names if label in of_row}
    return {label: curve for label, curve in found.items() if curve is not None}


def _levels(curves: pd.DataFrame, made: set[str]) -> dict[str, float]:
    """Mean over runs of the last validation accuracy, in percent, of the rows that made no rollouts."""
    measured = curves[curves[ACCURACY].notna() & ~curves["label"].isin(made)]
    last = measured.groupby(["label", "run_id"], sort=False)[ACCURACY].last().groupby("label").mean()
    return {str(label): 100 * float(level) for label, level in last.items()}


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
    right = axes.get_xlim()[1]
    ends = {label: curve.end for label, curve in bands.items()}
    label_ends(
        axes, ends | {label: (right, level) for label, level in levels.items()}, facet.names, look, inches
    )
