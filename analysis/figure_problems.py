"""Problem by problem: on which of them one row is better than another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import summary
from analysis.drawing import Numbers, Picture, Rows, counts, rows_of, sentence
from analysis.figure_layout import arrange, grid, wrapped
from analysis.figure_solved import solved_caption, solved_frame, solved_sets
from analysis.questions import question_frame
from analysis.results import Results
from analysis.style import RC

_MOST_LEVELS = 26
"""More distinct scores than that, and points stand at the nearest twenty-fifth."""


@dataclass(frozen=True)
class Versus:
    """Two rows on the same problems."""

    x: str
    """Name of the row on the x axis."""
    y: str
    points: pd.DataFrame
    """One row a problem: x and y, mean scores over training seeds in percent."""
    base: str = ""
    """Base model in words; empty where there is one."""


def problem_pictures(results: Results) -> Iterator[Picture]:
    """The best row against its strongest rival and against the base, then the solved sets of all rows."""
    rates, rows = rate_frame(question_frame(results)), rows_of(results)
    ranked = {facet.base: _ranked(results, facet.names) for facet in rows.facets}
    pairs = [(base, x, y) for base, order in ranked.items() for x, y in _chosen(results, order)]
    if pairs:
        panels = [versus(rates, x, y, rows, base) for base, x, y in pairs]
        yield Picture("problems", problem_scatter(panels), _scatter_caption(results, panels))
    best = {base: order[0] for base, order in ranked.items() if len(order) > 1}
    if best:
        yield Picture(
            "solved_sets", solved_sets(solved_frame(rates, best, rows)), solved_caption(results, best)
        )


def rate_frame(questions: pd.DataFrame) -> pd.DataFrame:
    """Share of right samples of every problem under every row, its training seeds taken together.

    Args:
        questions: as `analysis.questions.question_frame` gives them.

    Returns:
        Indexed by part and question, a column for each label; empty where a row was not asked the problem.
    """
    summed = questions.groupby(["part", "question", "label"], sort=False)[["correct", "samples"]].sum()
    return (summed["correct"] / summed["samples"]).unstack("label")


def versus(rates: pd.DataFrame, x: str, y: str, rows: Rows | None = None, base: str = "") -> Versus:
    """Two rows on the problems that both were asked.

    Args:
        rates: as `rate_frame` gives them.
        x: label of the row on the x axis.
        y: label of the row on the y axis.
        rows: for names other than the labels.
        base: base model in words.
    """
    names = {label: name for facet in (rows.facets if rows else ()) for label, name in facet.names.items()}
    both = 100 * rates[[x, y]].dropna().set_axis(["x", "y"], axis=1)
    return Versus(names.get(x, x), names.get(y, y), both, base)


def _ranked(results: Results, labels: Mapping[str, str]) -> list[str]:
    """Evaluated rows, the best first; the base model stands last, whatever it scored."""
    metric = results.metrics[0]
    done = [label for label in labels if results.evaluated(label)]
    means = {label: summary.of_metric(results.evaluated(label), metric).mean for label in done}
    return sorted(done, key=lambda label: (results.method(label) == "base", -means[label]))


def _chosen(results: Results, order: Sequence[str]) -> list[tuple[str, str]]:
    trained = [label for label in order if results.method(label) != "base"]
    others = [*trained[1:2], *(label for label in order if results.method(label) == "base")]
    return [(other, trained[0]) for other in others[:2]] if trained else []


def problem_scatter(panels: Sequence[Versus]) -> Figure:
    """Each problem a point, problems that coincide one larger point; two panels beside each other.

    Args:
        panels: pairs of rows, at least one.
    """
    across = 2 if len(panels) > 1 else 1
    side = 1.12 if across == 2 else 2.0
    heights = [side] * -(-len(panels) // across)
    with mpl.rc_context(RC):
        figure, cells = grid(heights, across, share_x=False, share_y=False)
        places = [axes for line in cells for axes in line]
        for axes, panel in zip(places, panels, strict=False):
            _scatter(axes, panel)
        for axes in places[len(panels) :]:
            axes.remove()
        arrange(figure, heights)
    return figure


def tally(points: pd.DataFrame) -> tuple[int, int, int]:
    """How many problems lie above, on and below the diagonal."""
    above = int((points["y"] > points["x"] + 1e-9).sum())
    below = int((points["x"] > points["y"] + 1e-9).sum())
    return above, len(points) - above - below, below


def _scatter(axes: Axes, panel: Versus) -> None:
    x, y, count = _stacked(panel.points)
    above, on, below = tally(panel.points)
    axes.plot([0, 100], [0, 100], color="#999999", linewidth=0.7, zorder=1)
    if len(count):
        size = 3 + 120 * count / max(count.max(), 30)
        axes.scatter(x, y, s=size, color="#0072B2", alpha=0.55, linewidths=0.3, edgecolors="white", zorder=2)
    axes.grid(visible=True)
    axes.set_xlim(-7, 107)
    axes.set_ylim(-7, 107)
    axes.set_xticks(range(0, 101, 50))
    axes.set_yticks(range(0, 101, 50))
    where = f"{panel.base}\n" if panel.base else ""
    axes.set_title(f"{where}{above} above\n{on} on, {below} below", loc="left", fontsize=7)
    axes.set_xlabel(f"{wrapped(panel.x)} (%)")
    axes.set_ylabel(f"{wrapped(panel.y)} (%)", labelpad=1)


def _stacked(points: pd.DataFrame) -> tuple[Numbers, Numbers, Numbers]:
    """Distinct places with the number of problems at each; the crowded ones last, so that none is hidden."""
    values = points[["x", "y"]].to_numpy(dtype=float).reshape(-1, 2)
    if any(len(np.unique(column.round(6))) > _MOST_LEVELS for column in values.T):
        values = 4 * np.round(values / 4)
    places, count = np.unique(values.round(6), axis=0, return_counts=True)
    order = np.argsort(-count, kind="stable")
    return places[order, 0], places[order, 1], count[order].astype(float)


def _scatter_caption(results: Results, panels: Sequence[Versus]) -> str:
    crowded = any(
        panel.points[axis].round(6).nunique() > _MOST_LEVELS for panel in panels for axis in ("x", "y")
    )
    return sentence(
        "Each problem's share of right samples under two rows, mean over training seeds: the best row against its "
        "strongest rival and against the base. A point's area grows with the number of problems there"
        f"{' (places rounded to the nearest twenty-fifth)' if crowded else ''}; above each panel the number of "
        "problems above, on and below the diagonal, before any rounding.",
        counts(results),
    )
