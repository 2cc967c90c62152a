"""Which problems a row solves that the best row does not, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.drawing import Rows, counts, left_out, sentence, unevaluated
from analysis.figure_layout import LINE_INCHES, arrange, grid, text_points, wrapped
from analysis.results import Results
from analysis.style import RC, SETS

MAJORITY = 0.5
"""A problem is solved where more than this share of all its samples, over all training seeds, is right."""
SEGMENTS = ("only_best", "both", "only_row", "neither")
"""Of a bar, from the left."""
_LEGEND = (
    ("neither", "neither"),
    ("only this row", "only_row"),
    ("both", "both"),
    ("only best", "only_best"),
)
"""What they are called, from the right."""
_NAME_CHARACTERS = 22


def solved_frame(rates: pd.DataFrame, best: Mapping[str, str], rows: Rows) -> pd.DataFrame:
    """How many problems are solved by the best row only, by both, by the other row only, by neither.

    Args:
        rates: as `rate_frame` gives them.
        best: label of the best row, by base model.
        rows: names and places.

    Returns:
        One row a label: base, name, is_best, and the columns of `SEGMENTS`.
    """
    found = []
    for facet in rows.facets:
        for label in [label for label in facet.names if label in rates and facet.base in best]:
            of_pair = (
                rates[[best[facet.base], label]].dropna()
                if label != best[facet.base]
                else rates[[label] * 2].dropna()
            )
            ours, theirs = (of_pair.iloc[:, i].to_numpy() > MAJORITY for i in (0, 1))
            sizes = (ours & ~theirs, ours & theirs, ~ours & theirs, ~ours & ~theirs)
            is_best = label == best[facet.base]
            found.append((facet.base, facet.names[label], is_best, *(int(size.sum()) for size in sizes)))
    return pd.DataFrame(found, columns=["base", "name", "is_best", *SEGMENTS])


def solved_sets(frame: pd.DataFrame) -> Figure:
    """A stacked bar for every row; a column of panels for every base model.

    Args:
        frame: as `solved_frame` gives it, with at least one row.
    """
    bases, names = list(dict.fromkeys(frame["base"])), list(reversed(dict.fromkeys(frame["name"])))
    lines = max(wrapped(name, _NAME_CHARACTERS).count("\n") + 1 for name in names)
    heights = [(LINE_INCHES * lines + 0.08) * len(names) + 0.1]
    with mpl.rc_context(RC):
        figure, (panels,) = grid(heights, len(bases))
        for axes, base in zip(panels, bases, strict=True):
            _bars(axes, frame[frame["base"] == base], names)
            axes.set_xlabel(f"problems{f', {base}' if base else ''}")
        _legend(panels[0])
        panels[0].set_yticks(
            range(len(names)), [wrapped(name, _NAME_CHARACTERS) for name in names], linespacing=0.95
        )
        panels[0].set_ylim(-0.55, len(names) - 0.45)
        arrange(figure, heights, columns=len(bases))
    return figure


def _bars(axes: Axes, frame: pd.DataFrame, names: Sequence[str]) -> None:
    total = int(frame[list(SEGMENTS)].sum(axis=1).max())
    for line in frame.to_dict("records"):
        height, left = names.index(line["name"]), 0
        for segment in SEGMENTS:
            size, (colour, ink) = int(line[segment]), SETS[segment]
            axes.barh(height, size, 0.78, left, color=colour, linewidth=0)
            if size >= 0.012 * total * (len(str(size)) + 1.5):
                axes.text(left + size / 2, height, str(size), color=ink, ha="center", va="center", fontsize=6)
            left += size
        if line["is_best"]:
            axes.text(1.02, height, "best", transform=axes.get_yaxis_transform(), va="center")
    axes.set_xlim(0, max(total, 1))
    axes.locator_params(axis="x", nbins=5, integer=True)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)


def _legend(axes: Axes) -> None:
    """The segments' names above the bars, in their order and with their colours, up to the panel's right end."""
    at: dict[str, Any] = {"xy": (1.0, 1.0), "xycoords": "axes fraction", "textcoords": "offset points"}
    at |= {"ha": "right", "va": "bottom", "fontsize": 6.5}
    left = 0.0
    for text, segment in _LEGEND:
        axes.annotate(text, xytext=(left, 4), **at)
        left -= text_points(axes, text, 6.5) + 3
        axes.annotate("\N{BLACK SQUARE}", xytext=(left, 4), color=SETS[segment][0], **at)
        left -= 13


def solved_caption(results: Results, best: Mapping[str, str]) -> str:
    """What the figure shows, and what solved means."""
    return sentence(
        f"Problems solved by the best row ({', '.join(best.values())}) only, by both, by the row named at the left "
        "only, and by neither. Solved: more than half of the problem's samples are right, the samples of all training "
        "seeds taken together. The best row's own bar shows what it solves.",
        counts(results),
        left_out(unevaluated(results)),
    )
