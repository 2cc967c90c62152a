"""Final scores: a dot and an interval for every row, a panel for every base model, or for every benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import summary
from analysis.drawing import Facet, Picture, Rows, counts, left_out, rows_in, rows_of, sentence, unevaluated
from analysis.figure_layout import LINE_INCHES, across_only, arrange, grid, wrapped
from analysis.layout import ONE_RUN
from analysis.results import Results
from analysis.style import RC, Look, darker

COLUMNS = ("label", "panel", "mean", "half_width", "one_run", "seeds")
_ACROSS = 2
"""Panels beside each other where there are several benchmarks."""
_NAME_CHARACTERS = 22


def score_pictures(results: Results) -> Iterator[Picture]:
    """The rows' first score; where it is a mean over benchmarks, a second figure with each of them."""
    rows, frame = rows_of(results), score_frame(results, results.metrics[:1])
    said = f"mean over training seeds with its 95% t-interval over seeds ({ONE_RUN}: a single run, over questions)"
    below = sentence(counts(results), left_out(unevaluated(results)))
    yield Picture(
        "scores",
        final_scores(frame, rows),
        f"On {results.measured_on}: {said}; band: interval, stroke: mean, dots: single seeds. {below}",
    )
    if len(results.parts) > 1:
        names = [name for name in results.metrics if "@" not in name]
        yield Picture(
            "scores_by_benchmark",
            scores_by_benchmark(score_frame(results, names), rows),
            f"A panel for each benchmark and one for their mean: {said}; band: interval, stroke: mean, dots: single "
            f"seeds. Each panel has its own axis. {below}",
        )


def score_frame(results: Results, metrics: Sequence[str]) -> pd.DataFrame:
    """One row a label and score, in percent; the columns of `COLUMNS`.

    `panel` names the score, `half_width` is half of the 95% interval (empty: unknown), `one_run` says that it is over
    questions, `seeds` holds the single runs.
    """
    found: list[dict[str, Any]] = []
    for metric in metrics:
        for label in results.labels:
            if done := results.evaluated(label):
                of = summary.of_metric(done, metric)
                numbers = (100 * of.mean, None if of.half_width is None else 100 * of.half_width)
                seeds = tuple(100 * measured.mean(metric) for measured in done)
                found.append(
                    dict(
                        zip(
                            COLUMNS, (label, metric, *numbers, of.interval == "questions", seeds), strict=True
                        )
                    )
                )
    return pd.DataFrame(found, columns=list(COLUMNS)).astype({"half_width": float})


def final_scores(scores: pd.DataFrame, rows: Rows | None = None) -> Figure:
    """Every row's score with its interval, its single seeds and its number; a column for each base model.

    Args:
        scores: as `score_frame` gives them, of one score.
        rows: names, places and looks; None takes them from the frame.
    """
    rows = rows or rows_in(scores)
    names = _names(scores, rows)
    heights = [_heights(names)]
    metric = str(scores["panel"].iloc[0]) if len(scores) else "score"
    with mpl.rc_context(RC):
        figure, (panels,) = grid(heights, len(rows.facets))
        for axes, facet in zip(panels, rows.facets, strict=True):
            for line in _of_facet(scores, facet).itertuples():
                height, look = names.index(facet.names[str(line.label)]), rows.looks[str(line.label)]
                _draw(axes, line, height, look)
                _number(axes, line, height, look)
            across_only(axes)
            axes.set_xlim(0, 100)
            axes.set_xticks(range(0, 101, 25))
            axes.set_xlabel(f"{metric} (%){f', {facet.base}' if facet.base else ''}")
        _name_rows(panels[0], names)
        arrange(figure, heights, columns=len(rows.facets))
    return figure


def scores_by_benchmark(scores: pd.DataFrame, rows: Rows | None = None) -> Figure:
    """A panel for each score, two beside each other; every panel has its own axis, for spreads differ.

    Args:
        scores: as `score_frame` gives them; panels in the order of the frame.
        rows: names, places and looks; None takes them from the frame.
    """
    rows = rows or rows_in(scores)
    names, panels = _names(scores, rows), list(dict.fromkeys(scores["panel"]))
    shown = [(panel, facet) for panel in panels for facet in rows.facets]
    lines = -(-len(shown) // _ACROSS)
    heights = [_heights(names)] * max(lines, 1)
    with mpl.rc_context(RC):
        figure, cells = grid(heights, _ACROSS, share_x=False)
        places = [axes for line in cells for axes in line]
        for axes, (panel, facet) in zip(places, shown, strict=False):
            for line in _of_facet(scores[scores["panel"] == panel], facet).itertuples():
                _draw(axes, line, names.index(facet.names[str(line.label)]), rows.looks[str(line.label)])
            axes.set_title(facet.headed(f"{panel} (%)"), loc="left")
            across_only(axes)
            axes.locator_params(axis="x", nbins=4)
        for axes in places[len(shown) :]:
            axes.remove()
        for cell in cells:
            _name_rows(cell[0], names)
        arrange(figure, heights)
    return figure


def _names(scores: pd.DataFrame, rows: Rows) -> list[str]:
    """Of the rows that have a score, the first at the top (the greatest height)."""
    there = set(scores["label"])
    names = [name for facet in rows.facets for label, name in facet.names.items() if label in there]
    return list(reversed(dict.fromkeys(names)))


def _heights(names: Sequence[str]) -> float:
    lines = max((wrapped(name, _NAME_CHARACTERS).count("\n") + 1 for name in names), default=1)
    return (LINE_INCHES * lines + 0.06) * max(len(names), 1) + 0.1


def _of_facet(scores: pd.DataFrame, facet: Facet) -> pd.DataFrame:
    return scores[scores["label"].isin(list(facet.names)) & scores["mean"].notna()]


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [wrapped(name, _NAME_CHARACTERS) for name in names], linespacing=0.95)
    axes.set_ylim(-0.6, max(len(names), 1) - 0.4)
    axes.tick_params(axis="y", length=0)


def _draw(axes: Axes, line: Any, height: int, look: Look) -> None:
    half = 0.0 if np.isnan(line.half_width) else line.half_width
    axes.hlines(
        height,
        max(line.mean - half, 0),
        min(line.mean + half, 100),
        color=look.colour,
        linewidth=3.5,
        alpha=0.35,
    )
    axes.plot(line.seeds, [height] * len(line.seeds), ".", color=look.colour, markersize=2.5)
    axes.plot(line.mean, height, "|", color=darker(look.colour), markersize=9, markeredgewidth=1.2)


def _number(axes: Axes, line: Any, height: int, look: Look) -> None:
    half = "" if np.isnan(line.half_width) else f" ± {line.half_width:.1f}"
    axes.text(
        1.03,
        height,
        f"{line.mean:.1f}{half}{ONE_RUN if line.one_run else ''}",
        transform=axes.get_yaxis_transform(),
        va="center",
        color=darker(look.colour),
    )
