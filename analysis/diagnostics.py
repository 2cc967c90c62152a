"""What goes on during training: rewards, gradients, tokens and entropies against the rollout step.

The same quantities as in Prefix-RFT's Figures 3 to 5 and Table 4 (arXiv 2507.01679), for any rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
from analysis.results import Results
from analysis.style import RC, Look


@dataclass(frozen=True)
class Series:
    """One metric of metrics.jsonl as a panel."""

    metric: str
    title: str
    scale: float = 1.0


GROUPS: Mapping[str, Sequence[Series]] = {
    "rewards": (
        Series("reward_gap", "Reward, hybrid minus ordinary (points)", 100),
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


def diagnostics(results: Results) -> Iterator[Picture]:
    """The figures of those quantities that some run has recorded."""
    for name, series in GROUPS.items():
        found = {one: _bands(results, one) for one in series}
        drawn = [one for one, bands in found.items() if _tells(bands)]
        if drawn:
            figure = _figure(results, {one: found[one] for one in drawn})
            yield Picture(f"diagnostics_{name}", figure, _caption(found))


def _bands(results: Results, series: Series) -> dict[str, Band]:
    """By label; rows that have not recorded the quantity are left out."""
    curves = results.frames.curves
    if series.metric not in curves:
        return {}
    recorded = curves[curves[series.metric].notna() & curves["label"].isin(of_rollouts(curves))]
    found = {
        label: band(rows, series.metric, series.scale)
        for label, rows in recorded.groupby("label", sort=False)
    }
    return {str(label): curve for label, curve in found.items() if curve is not None}


def _tells(bands: Mapping[str, Band]) -> bool:
    return any(not _zero(curve) for curve in bands.values())


def _zero(curve: Band) -> bool:
    return not curve.low_S.any() and not curve.high_S.any()


def _figure(results: Results, found: Mapping[Series, Mapping[str, Band]]) -> Figure:
    look, columns = row_looks(results), facets(results)
    shown = {
        one: {label: curve for label, curve in bands.items() if not _zero(curve)}
        for one, bands in found.items()
    }
    heights = [_inches(bands, columns) for bands in shown.values()]
    with mpl.rc_context(RC):
        figure, panels = grid(heights, len(columns))
        for line, (series, bands), inches in zip(panels, shown.items(), heights, strict=True):
            for axes, facet in zip(line, columns, strict=True):
                _draw(axes, series, {k: v for k, v in bands.items() if k in facet.names}, facet, look)
            for axes, facet in zip(line, columns, strict=True):
                _label(axes, bands, facet, look, inches)
        for axes in panels[-1]:
            axes.set_xlabel("rollout step")
    return figure


def _inches(bands: Mapping[str, Band], columns: Sequence[Facet]) -> float:
    return max(
        panel_inches(facet.names[label] for label in bands if label in facet.names) for facet in columns
    )


def _draw(
    axes: Axes, series: Series, bands: Mapping[str, Band], facet: Facet, look: Mapping[str, Look]
) -> None:
    draw_bands(axes, bands, look)
    axes.set_title(f"{series.title}{f', {facet.base}' if facet.base else ''}", loc="left")
    if all((curve.low_S >= 0).all() for curve in bands.values()):
        axes.set_ylim(bottom=0)


def _label(
    axes: Axes, bands: Mapping[str, Band], facet: Facet, look: Mapping[str, Look], inches: float
) -> None:
    """After all panels of a row are drawn: they share their limits."""
    ends = {label: float(curve.mean_S[-1]) for label, curve in bands.items() if label in facet.names}
    label_ends(axes, ends, facet.names, look, inches)


def _caption(found: Mapping[Series, Mapping[str, Band]]) -> str:
    said = [
        "Mean over training seeds, band: least and greatest seed; trailing means over a twentieth of the points."
    ]
    missing = [one.metric for one, bands in found.items() if not bands]
    still = [one.metric for one, bands in found.items() if bands and not _tells(bands)]
    if missing:
        said.append(f"Not recorded by any of these runs: {', '.join(missing)}.")
    if still:
        said.append(f"Zero throughout, not drawn: {', '.join(still)}.")
    if any(
        _zero(curve) for one, bands in found.items() if one.metric not in still for curve in bands.values()
    ):
        said.append("Rows at zero throughout are left out of a panel.")
    return " ".join(said)
