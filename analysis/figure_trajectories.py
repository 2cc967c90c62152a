"""How training moves between imitation and exploration: likelihood of demonstrations against accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.drawing import (
    Picture,
    Rows,
    by_label,
    counts,
    left_out,
    of_rollouts,
    rows_in,
    rows_of,
    sentence,
)
from analysis.figure_layout import arrange, grid, label_ends, panel_inches
from analysis.results import Results
from analysis.style import RC, darker

NLL = "validation/demonstration_nll"
"""Negative log-likelihood of the validation questions' demonstrations, nats a token; recorded at every look."""
LOSS = "loss"
"""Of a row that only imitates it is the same quantity on the demonstrations that it trains on."""
ACCURACY = "validation/accuracy"
_FEWEST = 2
"""Fewer points make no path."""


def trajectory_pictures(results: Results) -> Iterator[Picture]:
    """The paths of the rows that have recorded how likely demonstrations are; nothing where none has."""
    frame, rows = trajectory_frame(results.frames.curves), rows_of(results)
    if frame.empty:
        return
    drawn = set(frame["label"])
    lacking = {
        label: "no likelihood of demonstrations recorded" for label in results.labels if label not in drawn
    }
    measured = (
        "the validation questions' demonstrations"
        if (frame["measured"] == NLL).all()
        else "demonstrations: of the mini-batches since the last look for rows that only imitate"
    )
    yield Picture(
        "trajectories",
        trajectories(frame, rows),
        sentence(
            f"Validation accuracy against the SFT loss, the negative log-likelihood of {measured} (nats a token). A "
            "path for each row, mean over training seeds; hollow circle: first look, filled: last, arrow: direction, "
            "small dots: looks at equal steps. Leftward is imitation, upward is reward.",
            counts(results, sorted(drawn)),
            left_out(lacking),
        ),
    )


def trajectory_frame(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean over training seeds at every look: label, step, nll (nats a token), accuracy (percent), measured.

    Where any row has recorded `NLL`, only it is used; else the training loss of rows that only imitate, averaged over
    the steps since the look before. Looks that some run of a row lacks are left out.

    Args:
        curves: label, run_id, step, validation/accuracy, and loss or validation/demonstration_nll.
    """
    found: list[tuple[Any, ...]] = []
    recorded = NLL in curves and bool(curves[NLL].notna().any())
    without = of_rollouts(curves)
    for label, of_row in by_label(curves).items():
        if recorded:
            runs = [_looks(of_run) for _, of_run in of_row.groupby("run_id", sort=False)]
        elif label not in without and LOSS in of_row:
            runs = [_losses(of_run) for _, of_run in of_row.groupby("run_id", sort=False)]
        else:
            continue
        measured = NLL if recorded else LOSS
        found += [(label, *point, measured) for point in _mean(runs)]
    return pd.DataFrame(found, columns=["label", "step", "nll", "accuracy", "measured"])


Points = Mapping[int, tuple[float, float]]
"""(nll, accuracy) by step."""


def _looks(of_run: pd.DataFrame) -> Points:
    there = of_run[of_run[NLL].notna() & of_run[ACCURACY].notna()]
    return {int(step): (x, y) for step, x, y in zip(there["step"], there[NLL], there[ACCURACY], strict=True)}


def _losses(of_run: pd.DataFrame) -> Points:
    """Mean training loss of the steps since the look before, at every look."""
    looks = of_run.loc[of_run[ACCURACY].notna(), ["step", ACCURACY]]
    trained = of_run.loc[of_run[LOSS].notna(), ["step", LOSS]].to_numpy(dtype=float)
    found, since = {}, 0
    for step, accuracy in looks.itertuples(index=False):
        losses = trained[(trained[:, 0] > since) & (trained[:, 0] <= step), 1]
        if losses.size:
            found[int(step)] = (float(losses.mean()), float(accuracy))
        since = step
    return found


def _mean(runs: list[Points]) -> Iterator[tuple[int, float, float]]:
    """Over the runs, at the looks that all of them have; nothing where they make no path."""
    common = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    for step in common if len(common) >= _FEWEST else []:
        x, y = np.mean([run[step] for run in runs], axis=0)
        yield step, float(x), 100 * float(y)


def trajectories(frame: pd.DataFrame, rows: Rows | None = None) -> Figure:
    """One path a row: a hollow circle at the first look, a filled one at the last, dots at equal steps.

    Args:
        frame: as `trajectory_frame` gives it.
        rows: names, places and looks; None takes them from the frame.
    """
    rows = rows or rows_in(frame)
    of_row = by_label(frame)
    inches = max(
        1.9,
        *(
            panel_inches(facet.names[label] for label in facet.names if label in of_row)
            for facet in rows.facets
        ),
    )
    with mpl.rc_context(RC):
        figure, (panels,) = grid([inches], len(rows.facets))
        for axes, facet in zip(panels, rows.facets, strict=True):
            for label in [label for label in facet.names if label in of_row]:
                _path(axes, of_row[label], rows.looks[label].colour)
            axes.set_title(facet.headed("Validation accuracy (%)"), loc="left")
            axes.set_xlabel("SFT loss (nats a token)")
            _limits(axes, float(frame["nll"].max()) if len(frame) else 0.0)
            ends = {
                label: (float(of_row[label]["nll"].iloc[-1]), float(of_row[label]["accuracy"].iloc[-1]))
                for label in facet.names
                if label in of_row
            }
            label_ends(axes, ends, facet.names, rows.looks, inches)
        arrange(figure, [inches], columns=len(rows.facets))
    return figure


def _limits(axes: Axes, most: float) -> None:
    axes.set_xlim(0, 1.08 * most if most > 0 else 1.0)
    axes.set_ylim(-4, 104)
    axes.set_yticks(range(0, 101, 25))


def _path(axes: Axes, path: pd.DataFrame, colour: str) -> None:
    x, y = path["nll"].to_numpy(), path["accuracy"].to_numpy()
    axes.plot(x, y, color=colour, linewidth=1.1)
    axes.plot(x[1:-1], y[1:-1], ".", color=colour, markersize=3, alpha=0.6)
    axes.plot(x[0], y[0], "o", markerfacecolor="white", markeredgecolor=darker(colour), markersize=4)
    axes.plot(x[-1], y[-1], "o", color=darker(colour), markersize=4)
    widest = int(np.argmax(np.hypot(np.diff(x) / max(x.max(), 1e-12), np.diff(y) / 100)))
    ends = (float(x[widest]), float(y[widest])), (float(x[widest + 1]), float(y[widest + 1]))
    tip = (0.4 * ends[0][0] + 0.6 * ends[1][0], 0.4 * ends[0][1] + 0.6 * ends[1][1])
    arrow = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}
    axes.annotate("", xy=tip, xytext=ends[0], arrowprops=arrow)
