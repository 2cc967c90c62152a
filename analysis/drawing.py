"""What the figures share: rows and their looks, curves over training steps with their range over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.results import Results
from analysis.style import Look, looks

Numbers = NDArray[np.float64]
POINTS_TO_SMOOTH = 20
"""A curve is smoothed over a window of one in so many of its points."""
_FEW = 7
"""Rows whose bands can be told apart."""


@dataclass(frozen=True)
class Picture:
    """A figure with what has to be said under it."""

    name: str
    """Of its files."""
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Band:
    """One row's curve against the step: mean and range over training seeds; all [S]."""

    step_S: Numbers
    mean_S: Numbers
    low_S: Numbers
    high_S: Numbers

    @property
    def end(self) -> tuple[float, float]:
        """The last point of the mean."""
        return float(self.step_S[-1]), float(self.mean_S[-1])

    @property
    def zero(self) -> bool:
        """Whether it is zero throughout, for every seed."""
        return not self.low_S.any() and not self.high_S.any()


@dataclass(frozen=True)
class Facet:
    """The rows on one base model."""

    base: str
    """In words; empty where there is only one base model."""
    names: Mapping[str, str]
    """What a row is called in the figure, by its label."""

    def headed(self, text: str, *, top: bool = True) -> str:
        """A panel's title; at the top of a column it says the base model above, where there are several."""
        return f"{self.base}\n{text}" if self.base and top else text


@dataclass(frozen=True)
class Rows:
    """The rows of a figure: what they are called, which base model they stand on, how they look."""

    facets: tuple[Facet, ...]
    """One for every base model: a column of panels."""
    looks: Mapping[str, Look]
    """By label; a variant has the same one on every base model."""


def rows_of(results: Results) -> Rows:
    """All rows of a comparison, those without scores too, so that looks do not depend on what has finished."""
    facets = tuple(
        Facet(base, {label: name for label, (name, of) in results.places.items() if of == base})
        for base in results.bases
    )
    of_variant = variant_looks(results)
    return Rows(facets, {label: of_variant[variant] for label, (variant, _) in results.places.items()})


def variant_looks(results: Results) -> dict[str, Look]:
    """The looks of what is compared, alike in all figures."""
    return looks((variant, results.method_of(variant)) for variant in results.variants)


def rows_in(frame: pd.DataFrame) -> Rows:
    """The rows of a frame of one's own, all on one base model.

    Args:
        frame: with a column `label` and, for the methods' own looks, `method`.
    """
    labels = frame["label"].astype(str)
    methods = frame["method"].astype(str) if "method" in frame else labels
    pairs = dict(zip(labels, methods, strict=True))
    return Rows((Facet("", {label: label for label in pairs}),), looks(pairs.items()))


def by_label(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A frame's rows under each label."""
    return {str(label): rows for label, rows in frame.groupby("label", sort=False)}


def band(curves: pd.DataFrame, column: str, scale: float = 100) -> Band | None:
    """Mean, least and greatest over the runs of one row, times `scale` (100: in percent).

    Each run is smoothed by a trailing mean first. Steps that some run has not recorded are left out, so
    that a mean is always over the same runs.

    Args:
        curves: rows of one label: step, run_id and the column.
        column: what is drawn; where it is not a number nothing was recorded.
        scale: factor.
    """
    of_runs = _of_runs(curves, column)
    step_S = reduce(np.intersect1d, [step for step, _ in of_runs]) if of_runs else np.empty(0)
    if not step_S.size:
        return None
    values = [_smooth(value[np.searchsorted(step, step_S)]) for step, value in of_runs]
    value_RS = scale * np.stack(values)
    return Band(step_S, value_RS.mean(0), value_RS.min(0), value_RS.max(0))


def _of_runs(curves: pd.DataFrame, column: str) -> list[tuple[Numbers, Numbers]]:
    """Steps and values of every run, in the order of the steps."""
    value = curves[column].to_numpy(dtype=float, na_value=np.nan)
    there = np.isfinite(value)
    value, step = value[there], curves["step"].to_numpy(dtype=float)[there]
    run = pd.factorize(curves["run_id"])[0][there]
    # Sorted once instead of looked through for every run.
    order = np.argsort(run, kind="stable")
    ends = np.flatnonzero(np.diff(run[order])) + 1
    parts = (
        list(zip(np.split(step[order], ends), np.split(value[order], ends), strict=True)) if run.size else []
    )
    return [
        (steps[order], values[order])
        for steps, values in parts
        for order in [np.argsort(steps, kind="stable")]
    ]


def _smooth(value_S: Numbers) -> Numbers:
    """Trailing means; the first ones are over as many points as there are."""
    window = max(1, len(value_S) // POINTS_TO_SMOOTH)
    if window == 1:
        return value_S
    total = np.concatenate([[0.0], np.cumsum(value_S)])
    end = np.arange(1, len(value_S) + 1)
    begin = np.maximum(end - window, 0)
    smooth: Numbers = (total[end] - total[begin]) / (end - begin)
    return smooth


def draw_bands(axes: Axes, bands: Mapping[str, Band], look: Mapping[str, Look]) -> None:
    """Lines with their bands, by label; an axis of steps begins at 0."""
    for label, curve in bands.items():
        if axes.get_xscale() == "linear":
            axes.set_xlim(0, max(axes.get_xlim()[1], curve.step_S[-1]))
        if (curve.high_S > curve.low_S).any():
            axes.fill_between(
                curve.step_S,
                curve.low_S,
                curve.high_S,
                color=look[label].colour,
                alpha=_shade(len(bands)),
                linewidth=0,
            )
        axes.plot(curve.step_S, curve.mean_S, color=look[label].colour, linestyle=look[label].line)


def step_axis(axes: Axes) -> None:
    """Names the axis of rollout steps of this panel and of those above, with few ticks: they cost most of a draw."""
    axes.set_xlabel("rollout step")
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=True))


def _shade(rows: int) -> float:
    """Opacity of bands; those of many rows lie on top of each other."""
    return 0.15 if rows <= _FEW else 0.08


def of_rollouts(curves: pd.DataFrame) -> set[str]:
    """Labels whose runs made rollouts, so that their steps are rollout steps."""
    made = pd.Series(False, index=curves.index)
    for column in ("reward", "reward_hybrid"):
        if column in curves:
            made |= curves[column].notna()
    if "decode_steps" in curves:
        made |= curves["decode_steps"].fillna(0) > 0
    return set(curves.loc[made, "label"])


def sentence(*parts: str) -> str:
    """A caption of these sentences; empty ones are left out."""
    return " ".join(part for part in parts if part)


def left_out(reasons: Mapping[str, str]) -> str:
    """Which rows are missing and why, rows of one reason together; empty where none is."""
    together: dict[str, list[str]] = {}
    for label, why in reasons.items():
        together.setdefault(why, []).append(label)
    listed = "; ".join(f"{', '.join(labels)} ({why})" for why, labels in together.items())
    return f"Not drawn: {listed}." if listed else ""


def counts(results: Results, labels: Sequence[str] | None = None) -> str:
    """How many questions and training seeds the numbers are over."""
    shown = [label for label in (labels or results.labels) if results.evaluated(label)]
    seeds = {label: len(results.evaluated(label)) for label in shown if results.method(label) != "base"}
    if len(set(seeds.values())) == 1:
        n = next(iter(seeds.values()))
        said = f"{n} training seed{'s' if n > 1 else ''} a row"
    else:
        said = "training seeds: " + ", ".join(f"{label} {n}" for label, n in seeds.items())
    return f"n: {results.questions} questions of {results.measured_on}{f', {said}' if seeds else ''}."


def unevaluated(results: Results) -> dict[str, str]:
    """Rows without any scores, and why."""
    return {
        label: "; ".join(dict.fromkeys(results.reason(cell) for cell in results.of_label(label)))
        for label in results.labels
        if not results.evaluated(label)
    }
