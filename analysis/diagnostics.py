"""What goes on during training: rewards, gradients, tokens and entropies against the rollout step.

The same quantities as in Prefix-RFT's Figures 3 to 5 and Table 4 (arXiv 2507.01679), for any rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.drawing import (
    Band,
    Facet,
    Picture,
    Rows,
    band,
    by_label,
    counts,
    draw_bands,
    of_rollouts,
    rows_in,
    rows_of,
    sentence,
    step_axis,
)
from analysis.figure_layout import arrange, grid, label_ends, panel_inches
from analysis.results import Results
from analysis.style import RC


@dataclass(frozen=True)
class Series:
    """One metric of metrics.jsonl as a panel."""

    metric: str
    title: str
    scale: float = 1.0
    signed: bool = False
    """Whether zero means that two things are alike, and gets a line."""


GROUPS: Mapping[str, Sequence[Series]] = {
    "rewards": (
        Series("reward_gap", "Reward, hybrid minus ordinary (points)", 100, signed=True),
        Series("prefix_share", "Prefix in a hybrid response (%)", 100),
        Series("response_length", "Response length (tokens)"),
    ),
    "gradients": (
        Series("grad_norm_imitated", "Gradient norm, imitated tokens"),
        Series("grad_norm_explored", "Gradient norm, explored tokens"),
        Series("grad_share_imitated", "Imitated tokens' part of the gradient (%)", 100),
    ),
    "tokens": (
        Series("imitated_share", "Imitated among updated tokens (%)", 100),
        Series("entropy", "Entropy of explored tokens (nats)"),
        Series("entropy_imitated", "Entropy of imitated tokens (nats)"),
        Series("clip_fraction", "Clipped ratios (%)", 100),
    ),
}
"""The figures, each with its panels from the top."""

_USUAL, _OUTLYING = 0.95, 3
"""Where the greatest value is over three times the 95th percentile of the bands' upper ends, the axis ends above that
percentile and says how far the spike goes."""

Found = Mapping[Series, Mapping[str, Band]]


def diagnostics(results: Results) -> Iterator[Picture]:
    """The figures of those quantities that some run has recorded."""
    rows, of_row = rows_of(results), _trained(results.frames.curves)
    n = counts(results, [label for label in results.labels if label in of_row])
    for name, series in GROUPS.items():
        found = {one: _bands(of_row, one) for one in series}
        if any(map(_tells, found.values())):
            yield Picture(
                f"diagnostics_{name}", _figure(rows, found), sentence(_caption(found, len(of_row)), n)
            )


def diagnostic_figure(curves: pd.DataFrame, series: Sequence[Series], rows: Rows | None = None) -> Figure:
    """A panel for each quantity; line: mean, band: range over training seeds.

    Args:
        curves: label, run_id, step, reward, and a column for every metric that was recorded;
            `Results.frames.curves` or any part of it.
        series: the panels from the top; what no run recorded, or what is zero throughout, gets none.
        rows: names, places and looks; None takes them from the frame.

    Raises:
        ValueError: no run has recorded any of the quantities, or all are zero throughout.
    """
    found = {one: _bands(_trained(curves), one) for one in series}
    if not any(map(_tells, found.values())):
        raise ValueError(
            f"none of {', '.join(one.metric for one in series)} is in these curves, or all are zero"
        )
    return _figure(rows or rows_in(curves), found)


def _trained(curves: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Curves of the rows whose steps are rollout steps, by label."""
    made = of_rollouts(curves)
    return {label: of for label, of in by_label(curves).items() if label in made}


def _bands(of_row: Mapping[str, pd.DataFrame], series: Series) -> dict[str, Band]:
    """By label; rows that have not recorded the quantity are left out."""
    found = {
        label: band(rows, series.metric, series.scale)
        for label, rows in of_row.items()
        if series.metric in rows
    }
    return {label: curve for label, curve in found.items() if curve is not None}


def _tells(bands: Mapping[str, Band]) -> bool:
    return any(not curve.zero for curve in bands.values())


def _figure(rows: Rows, found: Found) -> Figure:
    shown = {
        one: {label: curve for label, curve in bands.items() if not curve.zero}
        for one, bands in found.items()
        if _tells(bands)
    }
    heights = [_inches(bands, rows.facets) for bands in shown.values()]
    with mpl.rc_context(RC):
        figure, panels = grid(heights, len(rows.facets))
        for line, (series, bands), inches in zip(panels, shown.items(), heights, strict=True):
            for axes, facet in zip(line, rows.facets, strict=True):
                draw_bands(axes, {k: v for k, v in bands.items() if k in facet.names}, rows.looks)
                axes.set_title(facet.headed(series.title, top=line is panels[0]), loc="left")
            # After all panels of a row are drawn: they share their limits.
            _limits(line, series, bands)
            for axes, facet in zip(line, rows.facets, strict=True):
                ends = {label: curve.end for label, curve in bands.items() if label in facet.names}
                label_ends(axes, ends, facet.names, rows.looks, inches)
        for axes in panels[-1]:
            step_axis(axes)
        arrange(figure, heights, columns=len(rows.facets))
    return figure


def _inches(bands: Mapping[str, Band], facets: Sequence[Facet]) -> float:
    return max(
        panel_inches(facet.names[label] for label in bands if label in facet.names) for facet in facets
    )


def _limits(line: Sequence[Axes], series: Series, bands: Mapping[str, Band]) -> None:
    """Of the panels of one quantity: from zero where nothing is negative, up to the greatest seed."""
    low = min(float(curve.low_S.min()) for curve in bands.values())
    high = max(float(curve.high_S.max()) for curve in bands.values())
    if _spiked(bands):
        at: dict[str, Any] = {"xycoords": "axes fraction", "ha": "right", "va": "top", "fontsize": 6.5}
        line[0].annotate(f"up to {high:.3g}", (0.99, 0.97), **at)
        high = 1.3 * _usual(bands)
    line[0].set_ylim(0.0 if low >= 0 else 1.06 * low, 1.06 * max(high, 0.0) or 1.0)
    line[0].yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    for axes in line if series.signed else ():
        axes.axhline(0, color="#444444", linewidth=0.6, zorder=1)


def _usual(bands: Mapping[str, Band]) -> float:
    return float(np.quantile(np.concatenate([curve.high_S for curve in bands.values()]), _USUAL))


def _spiked(bands: Mapping[str, Band]) -> bool:
    return max(float(curve.high_S.max()) for curve in bands.values()) > _OUTLYING * _usual(bands) > 0


def _caption(found: Found, trained: int) -> str:
    missing = [one.metric for one, bands in found.items() if not bands]
    still = [one.metric for one, bands in found.items() if bands and not _tells(bands)]
    partly = any(
        curve.zero for one, bands in found.items() if one.metric not in still for curve in bands.values()
    )
    fewer = any(0 < len(bands) < trained for bands in found.values())
    return sentence(
        "Mean over training seeds, band: least and greatest seed; trailing means over a twentieth of the points.",
        f"Not recorded by any of these runs: {', '.join(missing)}." if missing else "",
        f"Zero throughout, not drawn: {', '.join(still)}." if still else "",
        "Rows at zero throughout are left out of a panel." if partly else "",
        "An axis that cuts a spike off says how far it goes."
        if any(map(_spiked, filter(None, found.values())))
        else "",
        "A row without a quantity (a method without imitated tokens has no entropy of theirs) is not in its panel."
        if fewer
        else "",
    )
