"""pass@k against k: what many samples reach, a panel for every split or benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.drawing import (
    Band,
    Facet,
    Picture,
    Rows,
    by_label,
    counts,
    draw_bands,
    left_out,
    rows_in,
    rows_of,
    sentence,
    unevaluated,
)
from analysis.figure_layout import arrange, grid, label_ends, panel_inches
from analysis.measured import title
from analysis.results import Results
from analysis.style import RC

FEWEST_K = 3
"""Fewer pass@k make no curve."""
_MOST_TICKS = 8
"""More values of k are not all written below the axis."""


def pass_pictures(results: Results) -> Iterator[Picture]:
    """The curves of the parts with enough values of k."""
    frame = pass_frame(results)
    if frame.empty:
        return
    drawn = set(frame["part"])
    few = [name for name in map(title, results.parts) if name not in drawn]
    yield Picture(
        "pass_at_k",
        pass_at_k(frame, rows_of(results)),
        sentence(
            f"pass@k on {', '.join(dict.fromkeys(frame['part']))} against k (logarithmic), the unbiased estimate from "
            "all samples of a question; line: mean over training seeds, band: least and greatest seed.",
            f"Too few samples for a curve: {', '.join(few)}." if few else "",
            counts(results),
            left_out(unevaluated(results)),
        ),
    )


def pass_frame(results: Results) -> pd.DataFrame:
    """One row a run, part and k: label, run_id, part (its title), k, value (a share of 1).

    Of a split those k that were asked for; of benchmarks the powers of two up to the number of samples.
    """
    found = []
    for part, ks in _ks(results).items():
        for cell in results.cells:
            if cell.run_id in results.evaluations:
                done = results.evaluations[cell.run_id]
                found += [
                    (
                        cell.label,
                        cell.run_id,
                        title(part),
                        k,
                        done.mean(f"pass@{k}" if len(results.parts) == 1 else f"{title(part)} pass@{k}"),
                    )
                    for k in ks
                ]
    return pd.DataFrame(found, columns=["label", "run_id", "part", "k", "value"])


def _ks(results: Results) -> dict[str, list[int]]:
    """The k of every part that has enough of them; pass@1 is avg@n by another name."""
    if len(results.parts) == 1:
        asked = {int(name.partition("@")[2]) for name in results.metrics if name.startswith("pass@")}
        of_part = {results.parts[0]: sorted({1} | asked)}
    else:
        of_part = {part: _powers(_samples(results, part)) for part in results.parts}
    return {part: ks for part, ks in of_part.items() if len(ks) >= FEWEST_K}


def _samples(results: Results, part: str) -> int:
    return min((done.parts[part].scores.samples for done in results.evaluations.values()), default=0)


def _powers(samples: int) -> list[int]:
    return [2**i for i in range(samples.bit_length())]


def pass_at_k(values: pd.DataFrame, rows: Rows | None = None) -> Figure:
    """A panel for every part below each other, a column for every base model.

    Args:
        values: as `pass_frame` gives them.
        rows: names, places and looks; None takes them from the frame.
    """
    rows = rows or rows_in(values)
    parts = {str(part): of for part, of in values.groupby("part", sort=False)}
    inches = max(
        1.6 if len(parts) == 1 else 1.2, *(panel_inches(facet.names.values()) for facet in rows.facets)
    )
    heights = [inches] * max(len(parts), 1)
    with mpl.rc_context(RC):
        figure, panels = grid(heights, len(rows.facets), share_x=False)
        for line, (part, of_part) in zip(panels, parts.items(), strict=False):
            for axes, facet in zip(line, rows.facets, strict=True):
                _draw(axes, _bands(of_part, facet), facet, rows, inches)
                title = f"{part}, pass@k (%)" if len(parts) > 1 else "pass@k (%)"
                axes.set_title(facet.headed(title, top=line is panels[0]), loc="left")
        for axes in panels[-1]:
            axes.set_xlabel("k")
        arrange(figure, heights, columns=len(rows.facets))
    return figure


def _bands(values: pd.DataFrame, facet: Facet) -> dict[str, Band]:
    of_row = by_label(values)
    return {label: _band(of_row[label]) for label in facet.names if label in of_row}


def _band(values: pd.DataFrame) -> Band:
    over_runs = 100 * values.groupby("k")["value"].agg(["mean", "min", "max"])
    return Band(
        over_runs.index.to_numpy(dtype=float),
        *(over_runs[name].to_numpy() for name in ("mean", "min", "max")),
    )


def _draw(axes: Axes, bands: Mapping[str, Band], facet: Facet, rows: Rows, inches: float) -> None:
    ks = sorted({int(k) for curve in bands.values() for k in curve.step_S}) or [1, 2]
    axes.set_xscale("log", base=2)
    draw_bands(axes, bands, rows.looks)
    for label, curve in bands.items():
        look = rows.looks[label]
        axes.plot(
            curve.step_S, curve.mean_S, color=look.colour, marker=look.marker, markersize=3, linestyle=""
        )
    axes.set_xlim(ks[0] * 0.9, ks[-1] * 1.05)
    axes.set_xticks(ks, [str(k) if k in _shown(ks) else "" for k in ks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 25))
    label_ends(axes, {label: curve.end for label, curve in bands.items()}, facet.names, rows.looks, inches)


def _shown(ks: Sequence[int]) -> set[int]:
    """Every value, or every second or third one down from the last where they would touch."""
    every = -(-len(ks) // _MOST_TICKS)
    return {int(k) for k in np.array(ks)[::-1][::every]}
