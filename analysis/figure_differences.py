"""Ablations as differences: every row against one of them, with intervals, and what was published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.claims import Claim, claims_for
from analysis.comparisons import SIGNIFICANCE, Comparison, family, points
from analysis.drawing import Picture, counts, left_out, sentence, unevaluated, variant_looks
from analysis.figure_layout import LINE_INCHES, across_only, arrange, grid, wrapped
from analysis.layout import ONE_RUN
from analysis.published import Source
from analysis.results import Results
from analysis.style import NAMES, RC, Look, darker, looks

COLUMNS = ("label", "method", "value", "low", "high", "decided", "seeds", "by_base", "published")
_HOLLOW = ("D", "s", "^")
"""Marks of published differences, a source each."""
_NAME_CHARACTERS = 22


def difference_pictures(results: Results) -> Iterator[Picture]:
    """The rows against the reference; nothing where no other row shares a seed with it."""
    reference = reference_row(results)
    frame = difference_frame(results, reference) if reference else pd.DataFrame()
    if frame.empty or reference is None:
        return
    metric = results.metrics[0]
    untested = [
        name
        for name in results.variants
        if name not in (*frame["label"], reference)
        and results.members(name)
        and results.method_of(name) != "base"
    ]
    base = [name for name in results.variants if results.method_of(name) == "base"]
    yield Picture(
        "differences",
        differences(frame, f"{metric} minus that of {reference} (points)", variant_looks(results)),
        sentence(
            f"{metric} of each row minus that of {reference}, in points, with the 95% interval of the paired bootstrap "
            f"over questions and training seeds. * after a number: p < {SIGNIFICANCE} after Holm's correction over "
            "these rows.",
            f"Strokes: the difference on each of {', '.join(results.bases)}."
            if len(results.bases) > 1
            else "",
            _published_note(frame),
            f"{ONE_RUN} a single training seed: nothing is claimed." if (frame["seeds"] < 2).any() else "",
            counts(results),
            left_out(
                unevaluated(results)
                | dict.fromkeys(untested, "no training seed shared")
                | dict.fromkeys(base, "not trained")
            ),
        ),
    )


def reference_row(results: Results) -> str | None:
    """What the others are compared with: the row that most published orderings of this sweep are about.

    Without one the first row of Prefix-RFT, then the first that was trained; None where nothing is evaluated.
    """
    there = [name for name in results.variants if results.members(name) and results.method_of(name) != "base"]
    told = Counter(
        row
        for claim in claims_for(results.sweep, results.variants)
        for row in (NAMES.get(claim.higher, claim.higher), NAMES.get(claim.lower, claim.lower))
    )
    ours = [name for name in there if results.method_of(name) == "prefix_rft"]
    ranked = sorted(there, key=lambda name: -told[name])
    if ranked and told[ranked[0]]:
        return ranked[0]
    return next(iter([*ours, *there]), None)


def difference_frame(results: Results, reference: str) -> pd.DataFrame:
    """One row a variant that shares a seed with the reference; the columns of `COLUMNS`, in points.

    `by_base` holds the difference on each base model where there are several, `published` the published differences
    by source.
    """
    names = [name for name in results.variants if name != reference and results.method_of(name) != "base"]
    tests = family(results, [(name, reference) for name in names], results.metrics[0])
    gaps = _published(results, reference)
    found = [
        _line(results, name, tests[name, reference], gaps) for name in names if (name, reference) in tests
    ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _line(
    results: Results, name: str, test: Comparison, gaps: Mapping[str, Mapping[Source, float]]
) -> tuple[Any, ...]:
    low, high = test.difference.ci95
    numbers = (100 * test.difference.value, 100 * low, 100 * high, test.decided, test.difference.seeds)
    by_base = {base: 100 * value for base, value in test.by_base.items()}
    return (name, results.method_of(name), *numbers, by_base, gaps.get(name, {}))


def _published(results: Results, reference: str) -> dict[str, dict[Source, float]]:
    """Published differences to the reference, by row and source."""
    found: dict[str, dict[Source, float]] = {}
    for claim in claims_for(results.sweep, results.variants):
        other, sign = _seen_from(claim, reference)
        if other and claim.gap is not None and claim.samples == "mean":
            found.setdefault(other, {})[claim.source] = sign * claim.gap
    return found


def _seen_from(claim: Claim, reference: str) -> tuple[str, int]:
    """The claim's other row, and the sign of its difference to the reference; no row where it is not about it."""
    higher, lower = (NAMES.get(row, row) for row in (claim.higher, claim.lower))
    if reference not in (higher, lower):
        return "", 0
    return (lower, -1) if reference == higher else (higher, 1)


def differences(frame: pd.DataFrame, title: str, rows: Mapping[str, Look] | None = None) -> Figure:
    """Dots with intervals about a zero line; hollow marks are published differences.

    Args:
        frame: as `difference_frame` gives it; the first row stands at the top.
        title: of the axis.
        rows: looks by label; None takes them from the frame.
    """
    names = [str(label) for label in frame["label"]]
    lines = max((wrapped(name, _NAME_CHARACTERS).count("\n") + 1 for name in names), default=1)
    heights = [(LINE_INCHES * lines + 0.09) * max(len(names), 1) + 0.12]
    shown = rows or looks(zip(names, frame["method"], strict=True))
    with mpl.rc_context(RC):
        figure, ((axes,),) = grid(heights, 1)
        axes.axvline(0, color="#444444", linewidth=0.8, zorder=1)
        marks = dict(zip(_sources(frame), _HOLLOW, strict=False))
        for height, line in zip(reversed(range(len(names))), frame.itertuples(), strict=True):
            _draw(axes, line, height, shown[str(line.label)].colour, marks)
        axes.set_yticks(
            range(len(names)), [wrapped(name, _NAME_CHARACTERS) for name in reversed(names)], linespacing=0.95
        )
        axes.tick_params(axis="y", length=0)
        across_only(axes)
        axes.set_ylim(-0.6, max(len(names), 1) - 0.4)
        axes.margins(x=0.06)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel(title, loc="right")
        arrange(figure, heights)
    return figure


def _sources(frame: pd.DataFrame) -> list[Source]:
    return list(dict.fromkeys(source for known in frame["published"] for source in known))


def _published_note(frame: pd.DataFrame) -> str:
    named = ("diamond", "square", "triangle")
    known = [
        f"{name}: {source.name}, {source.measure}"
        for name, source in zip(named, _sources(frame), strict=False)
    ]
    return (
        f"Hollow marks: published differences in points of their own measure ({'; '.join(known)})."
        if known
        else ""
    )


def _draw(axes: Axes, line: Any, height: int, colour: str, marks: Mapping[Source, str]) -> None:
    axes.hlines(height, line.low, line.high, color=colour, linewidth=1.6)
    axes.plot(line.value, height, "o", color=colour, markersize=4.5)
    if len(line.by_base) > 1:
        axes.plot(
            list(line.by_base.values()), [height] * len(line.by_base), "|", color=darker(colour), markersize=6
        )
    for source, gap in line.published.items():
        axes.plot(
            gap,
            height,
            marks[source],
            markerfacecolor="white",
            markeredgecolor="#444444",
            markersize=4.2,
            markeredgewidth=0.8,
            linestyle="",
        )
    mark = "*" if line.decided else ONE_RUN if line.seeds < 2 else ""
    axes.text(
        1.03,
        height,
        f"{points(line.value / 100)}{mark}".replace("-", "\N{MINUS SIGN}"),
        transform=axes.get_yaxis_transform(),
        va="center",
        color=darker(colour),
    )
