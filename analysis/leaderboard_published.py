"""Published scores as lines of a leaderboard, with what was not measured as ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from analysis.published_protocols import departures
from analysis.published_results import AVERAGES, PublishedResult, plain, published_results
from eval.evaluated import Evaluated
from prefix_rft.errors import SettingsError, unknown

AVERAGE = "Avg"
ALIKE = "powers of ten alike"
"""How the second score of a benchmark in scientific notation is called."""
_PUBLISHED_NAMES = {"AMC23": "AMC23(40)"}
_OTHER_SET = {"AMC": "AMC23(40)", "AMC23": "AMC"}
"""The other set that goes by nearly the same name."""
_NOT_PUBLISHED = "not published"


@dataclass(frozen=True)
class Place:
    """One number, or why there is none."""

    value: float | None = None
    """Share of 1."""
    interval: tuple[float, float] | None = None
    """95%, over problems; of our scores only."""
    marks: tuple[str, ...] = ()
    """What is not as in our evaluations, see `analysis.published_protocols.MEANING`."""
    reason: str = ""
    """Why there is no number."""
    metric: str = ""
    """What the source calls the measure."""


@dataclass(frozen=True)
class Line:
    """One model, ours or published."""

    name: str
    model: str
    """Base model; empty for ours."""
    source: str
    """Where it was published; `here` for ours."""
    places: dict[str, Place] = field(default_factory=dict)
    """By column."""


def rows_of(model: str, method: str, source: str) -> list[PublishedResult]:
    """Rows of the model of this name; of all whose names contain it, where none has exactly this name.

    Raises:
        SettingsError: no model is called so.
    """
    everything = published_results()
    names = dict.fromkeys(row.model for row in everything)
    wanted = [name for name in names if plain(name) == plain(model)]
    wanted = wanted or [name for name in names if model and plain(model) in plain(name)]
    if not wanted:
        raise SettingsError(unknown("model", model, names))
    return [
        row
        for row in everything
        if row.model in wanted and plain(method) in plain(row.method) and plain(source) in plain(row.source)
    ]


def published_lines(
    rows: Sequence[PublishedResult], columns: Sequence[str], metric: str, ours: dict[str, Evaluated]
) -> list[Line]:
    """One line a method, model and source, where it has a number in some column.

    Args:
        rows: published results.
        columns: of the leaderboard.
        metric: avg, pass@k or maj@k.
        ours: an evaluation of ours on every benchmark that has one, by column.
    """
    groups: dict[tuple[str, str, str], list[PublishedResult]] = {}
    for row in rows:
        groups.setdefault((row.method, row.model, row.source), []).append(row)
    lines = []
    for (method, model, source), group in groups.items():
        titles = [column for column in columns if column != AVERAGE and not column.endswith(ALIKE)]
        places = {title: _cell(group, title, metric, ours.get(title)) for title in titles}
        shown = any(place.value is not None for place in places.values())
        if AVERAGE in columns:
            places[AVERAGE] = _published_average(group, titles, places, metric, list(ours.values()))
            shown = shown or places[AVERAGE].value is not None
        elsewise = Place(reason=_NOT_PUBLISHED)
        if shown:
            lines.append(Line(method, model, source, {c: places.get(c, elsewise) for c in columns}))
    return lines


def _cell(group: Sequence[PublishedResult], title: str, metric: str, ours: Evaluated | None) -> Place:
    own = _pick(group, _PUBLISHED_NAMES.get(title, title), metric)
    other = _pick(group, _OTHER_SET[title], metric) if title in _OTHER_SET else None
    row = own or other
    if row is None:
        return Place(reason=_NOT_PUBLISHED)
    if row.score is None:
        return Place(reason=row.text)
    marks = [] if own else ["s"]
    if ours:
        marks += departures(row, ours.scores.protocol)
    return Place(row.score / 100, None, tuple(marks), metric=row.metric)


def _pick(group: Sequence[PublishedResult], benchmark: str, metric: str) -> PublishedResult | None:
    """avg@n before pass@1 where both were published."""
    known = {row.metric: row for row in group if row.benchmark == benchmark}
    if metric not in ("avg", "pass@1"):
        return known.get(metric)
    means = sorted(name for name in known if name == "pass@1" or name.startswith("avg@"))
    return known[means[0]] if means else None


def _published_average(
    group: Sequence[PublishedResult],
    titles: Sequence[str],
    places: dict[str, Place],
    metric: str,
    ours: Sequence[Evaluated],
) -> Place:
    """As published; computed where it was not but all its parts were."""
    name = next((name for name, parts in AVERAGES.items() if set(parts) == set(titles)), None)
    row = next((row for row in group if row.benchmark == name), None)
    parts = [place.value for place in places.values()]
    known = [part for part in parts if part is not None]
    marks = tuple(dict.fromkeys(mark for place in places.values() for mark in place.marks))
    if metric == "avg" and row is not None:
        if not known and ours:
            marks = tuple(m for m in departures(row, ours[0].scores.protocol) if not m.startswith("n"))
        value = None if row.score is None else row.score / 100
        return Place(value, None, marks, "" if row.score is not None else row.text, row.metric)
    if len(known) < len(parts):
        return Place(reason=f"{len(known)} of {len(parts)} published")
    return Place(sum(known) / len(known), None, ("c", *marks), metric=f"mean of {len(known)}")
