"""Where things stand in a figure: panels of a given height in inches, names beside the ends of lines.

Matplotlib's constrained layout takes most of a figure's time, and shrinks panels until labels that had room have none.
Here the panels' heights are given, what stands around them is measured once, and the figure is as high as that takes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from analysis.style import COLUMN_INCHES, Look, darker

LINE_INCHES = 0.118
"""Height of a line of label text."""
_LABEL_CHARACTERS = 20
"""Longer labels are broken into lines."""
_LEAST_PANEL = 1.35
"""Inches; panels grow with the number of their labels."""
_PAD = 0.04
"""Inches around everything."""
_BETWEEN = 0.09
"""Inches between what belongs to two panels."""
_X_LABEL = 0.21
"""Inches from the axis down to its label: tick, tick label and a gap."""


def grid(
    heights: Sequence[float], columns: int, *, share_x: bool = True, share_y: bool = True
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with its panels row by row; `arrange` puts them into their places when they are filled.

    Where a column has one x axis, only the panel at its foot shows it.

    Args:
        heights: of every row of panels, in inches.
        columns: of panels.
        share_x: whether the panels of a column have one x axis.
        share_y: whether the panels of a row have one y axis.
    """
    figure = Figure(figsize=(COLUMN_INCHES, sum(heights) + 0.5 * len(heights)))
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        len(heights),
        columns,
        sharex="col" if share_x else False,
        sharey="row" if share_y else False,
        squeeze=False,
    )
    for axes in panels[:-1].flat if share_x else ():
        axes.xaxis.set_visible(
            False
        )  # its ticks are those at the foot of the column, and cost as much to draw
    return figure, [list(line) for line in panels]


def arrange(figure: Figure, heights: Sequence[float], *, columns: int = 1) -> None:
    """Put the panels of a `grid` into their places, once everything is drawn.

    Args:
        figure: its axes are those of the grid, row by row; removed ones leave their places empty.
        heights: of every row of panels, in inches.
        columns: of a paper that the figure is wide.
    """
    width = COLUMN_INCHES * columns
    placed = {axes: _cell(axes) for axes in figure.axes}
    across = range(max(column for _, column in placed.values()) + 1)
    _place(figure, placed, heights, width, [(0.4, 0.6)] * len(across), [(0.2, 0.3)] * len(heights))
    for axes, (row, _) in placed.items():
        _fix_labels(axes, heights[row])
    around = {axes: _around(axes) for axes in placed}
    beside = [
        (
            _most(around[a][0] for a, at in placed.items() if at[1] == column),
            _most(around[a][1] for a, at in placed.items() if at[1] == column),
        )
        for column in across
    ]
    above = [
        (
            _most(around[a][2] for a, at in placed.items() if at[0] == row),
            _most(around[a][3] for a, at in placed.items() if at[0] == row),
        )
        for row in range(len(heights))
    ]
    _place(figure, placed, heights, width, beside, above)


Cell = tuple[int, int]
Sides = Sequence[tuple[float, float]]


def _place(
    figure: Figure,
    placed: Mapping[Axes, Cell],
    heights: Sequence[float],
    width: float,
    beside: Sides,
    above: Sides,
) -> None:
    """Panels into their places, given the inches left and right of every column, above and below every row."""
    columns = len(beside)
    panel = (width - 2 * _PAD - _BETWEEN * (columns - 1) - sum(map(sum, beside))) / columns
    height = sum(heights) + sum(map(sum, above)) + 2 * _PAD + _BETWEEN * (len(heights) - 1)
    figure.set_size_inches(width, height)
    for axes, (row, column) in placed.items():
        left = _PAD + sum(map(sum, beside[:column])) + beside[column][0] + column * (panel + _BETWEEN)
        top = _PAD + sum(map(sum, above[:row])) + above[row][0] + sum(heights[:row]) + row * _BETWEEN
        low = height - top - heights[row]
        axes.set_position((left / width, low / height, max(panel, 0.2) / width, heights[row] / height))


def _cell(axes: Axes) -> Cell:
    spec = axes.get_subplotspec()
    if spec is None:
        raise ValueError("arrange takes figures made by grid; one of these panels stands in no grid")
    return spec.rowspan.start, spec.colspan.start


def _fix_labels(axes: Axes, height: float) -> None:
    """The x label at a fixed distance, so that no draw has to look for its place."""
    axes.xaxis.set_label_coords(axes.xaxis.label.get_position()[0], -_X_LABEL / height)
    if not axes.get_ylabel():
        axes.yaxis.set_label_coords(0.0, 0.5)


def _around(axes: Axes) -> tuple[float, float, float, float]:
    """Inches that ticks, labels and texts take to the left and right, above and below the panel.

    A title or an x label may be longer than its panel: it takes no width.
    """
    dpi = _figure(axes).dpi
    inner = axes.get_window_extent()
    outer = axes.get_tightbbox(_renderer(axes), bbox_extra_artists=axes.texts, for_layout_only=True) or inner
    sides = (inner.x0 - outer.x0, outer.x1 - inner.x1, outer.y1 - inner.y1, inner.y0 - outer.y0)
    left, right, top, bottom = (max(0.0, side / dpi) for side in sides)
    return left, right, top, bottom


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _renderer(axes: Axes) -> Any:
    """What knows how large texts are."""
    canvas: Any = _figure(axes).canvas
    return canvas.get_renderer()


def text_points(axes: Axes, text: str, size: float) -> float:
    """Width of a line of text in points."""
    width, _, _ = _renderer(axes).get_text_width_height_descent(text, FontProperties(size=size), False)
    return float(width) * 72 / _figure(axes).dpi


def _most(values: Iterable[float]) -> float:
    return max(values, default=0.0)


def across_only(axes: Axes) -> None:
    """Grid lines at the values of x only: the panel's rows are names."""
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", visible=True)


def wrapped(label: str, characters: int = _LABEL_CHARACTERS) -> str:
    """The label in lines."""
    return textwrap.fill(label, characters, break_long_words=False)


def panel_inches(labels: Iterable[str]) -> float:
    """Height at which these labels have room beside the panel."""
    return max(_LEAST_PANEL, sum(_inches(label) for label in labels))


def label_ends(
    axes: Axes,
    ends: Mapping[str, tuple[float, float]],
    names: Mapping[str, str],
    looks: Mapping[str, Look],
    inches: float,
) -> None:
    """Names to the right of the panel, with leaders to the ends of their lines, moved apart where they would overlap.

    Args:
        axes: its limits are final.
        ends: where each line ends, (x, y) by label.
        names: what each is called.
        looks: by label.
        inches: height of the panel.
    """
    low, high = axes.get_ylim()
    right = axes.get_xlim()[1]
    unit = (high - low) / inches
    placed = spread(
        [y for _, y in ends.values()], [_inches(names[label]) * unit for label in ends], low, high
    )
    beside = axes.get_yaxis_transform()
    for (label, (x, y)), height in zip(ends.items(), placed, strict=True):
        colour = looks[label].colour
        if x < right:
            axes.plot([x, right], [y, y], ":", color=colour, lw=0.5, zorder=1)
        axes.plot([1.0, 1.03], [y, height], "-", color=colour, lw=0.5, transform=beside, clip_on=False)
        axes.text(
            1.04,
            height,
            wrapped(names[label]),
            color=darker(colour),
            va="center",
            linespacing=0.95,
            transform=beside,
        )


def _inches(label: str) -> float:
    return LINE_INCHES * (wrapped(label).count("\n") + 1)


def spread(wanted: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Middles of labels nearest to the wanted ones, which do not overlap, within [low, high] where there is room.

    Labels that would overlap are centred on where they want to be together (isotonic regression of the
    positions less what lies below them); where there is no room they hang from `high`.

    Args:
        wanted: where each label would stand alone.
        sizes: of the labels.
        low: least middle of a label.
        high: greatest.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    gaps = [0.0, *((sizes[a] + sizes[b]) / 2 for a, b in pairwise(order))]
    below = [sum(gaps[: rank + 1]) for rank in range(len(order))]
    clusters: list[list[float]] = []
    for rank, i in enumerate(order):
        clusters.append([wanted[i] - below[rank]])
        while len(clusters) > 1 and _mean(clusters[-2]) >= _mean(clusters[-1]):
            last = clusters.pop()
            clusters[-1] += last
    ceiling = high - (below[-1] if below else 0.0)
    level = [min(max(_mean(cluster), low), ceiling) for cluster in clusters for _ in cluster]
    placed = {i: level[rank] + below[rank] for rank, i in enumerate(order)}
    return [placed[i] for i in range(len(wanted))]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
