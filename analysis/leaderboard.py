"""Our evaluations beside published scores: what stands in every cell, how surely, and what is not alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.leaderboard_published import ALIKE, AVERAGE, Line, Place, published_lines, rows_of
from analysis.published_results import plain
from eval.benchmarks.schema import Benchmark
from eval.evaluated import Evaluated, Found, average_of, same_measure
from eval.protocol import ProtocolRecord
from eval.scores import Estimate
from prefix_rft.errors import SettingsError, unknown

_NOT_EVALUATED = "not evaluated"


@dataclass(frozen=True)
class Leaderboard:
    """Lines by falling score."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    metric: str
    sorted_by: str
    records: tuple[ProtocolRecord, ...]
    """How ours were measured: one of mathematics, one of general benchmarks; none without any."""
    elsewhere: tuple[str, ...] = ()
    """Question sets of evaluations that are on none of the benchmarks asked for."""


def leaderboard(
    found: Found,
    benchmarks: Sequence[Benchmark],
    *,
    model: str,
    metric: str = "avg",
    method: str = "",
    source: str = "",
    protocol: str = "",
    sort: str = "",
) -> Leaderboard:
    """Our evaluations and the published rows of a model, by falling score.

    Args:
        found: our evaluations.
        benchmarks: the columns; with two or more an average follows.
        model: base model of the published rows, or the common part of several models' names.
        metric: avg (avg@n, or pass@1 of one sample), pass@k, or maj@k.
        method: only published methods whose name contains this.
        source: only published rows whose source contains this.
        protocol: only our evaluations under the protocol of this name.
        sort: the column to sort by; the average, or the only benchmark, if empty.

    Raises:
        ProtocolError: ours were measured under different protocols; names the fields.
        SettingsError: an unknown model, metric or column.
    """
    names = {benchmark.name: benchmark.title for benchmark in benchmarks}
    chosen = [one for one in found.evaluations if protocol in ("", one.scores.protocol.name)]
    ours = [one for one in chosen if one.benchmark in names]
    groups = {benchmark.name: benchmark.group for benchmark in benchmarks}
    alike = [
        [one for one in ours if groups[one.benchmark] == group] for group in dict.fromkeys(groups.values())
    ]
    records = tuple(same_measure(group) for group in alike if group)
    columns = _columns(benchmarks, ours)
    by = next((column for column in columns if plain(column) == plain(sort or columns[-1])), None)
    if by is None:
        raise SettingsError(unknown("column", sort, columns))
    _must_be_known(metric)
    lines = [
        *_ours(ours, found, benchmarks, columns, metric),
        *published_lines(
            rows_of(model, method, source), columns, metric, {names[o.benchmark]: o for o in ours}
        ),
    ]
    elsewhere = tuple(dict.fromkeys(one.benchmark for one in chosen if one.benchmark not in names))
    return Leaderboard(
        columns, tuple(sorted(lines, key=lambda line: _rank(line, by))), metric, by, records, elsewhere
    )


def _columns(benchmarks: Sequence[Benchmark], ours: Sequence[Evaluated]) -> tuple[str, ...]:
    alike = {one.benchmark for one in ours if one.scientific}
    titles = []
    for benchmark in benchmarks:
        titles += [benchmark.title, *([_alike(benchmark.title)] if benchmark.name in alike else [])]
    return (*titles, AVERAGE) if len(benchmarks) > 1 else tuple(titles)


def _alike(title: str) -> str:
    return f"{title}, {ALIKE}"


def _rank(line: Line, by: str) -> tuple[bool, float, str]:
    value = line.places[by].value
    return value is None, -(value or 0.0), line.name


def _must_be_known(metric: str) -> None:
    name, at, k = metric.partition("@")
    if metric != "avg" and not (name in ("pass", "maj") and at and k.isdigit() and int(k) > 0):
        raise SettingsError(f"metric={metric}: choose avg, pass@k or maj@k, e.g. metric=pass@32.")


def _ours(
    ours: Sequence[Evaluated],
    found: Found,
    benchmarks: Sequence[Benchmark],
    columns: Sequence[str],
    metric: str,
) -> list[Line]:
    begun = {(one.claim.subject, one.claim.protocol.split) for one in found.unfinished}
    lines = []
    for subject in dict.fromkeys(one.scores.subject for one in ours):
        own = {one.benchmark: one for one in ours if one.scores.subject == subject}
        places: dict[str, Place] = {}
        for benchmark in benchmarks:
            there = own.get(benchmark.name)
            why = "not finished" if (subject, benchmark.name) in begun else _NOT_EVALUATED
            places[benchmark.title] = _score(there, metric) if there else Place(reason=why)
            places[_alike(benchmark.title)] = _normalised(there, metric, why)
        if AVERAGE in columns:
            mixed = len({benchmark.group for benchmark in benchmarks}) > 1
            places[AVERAGE] = (
                Place(reason="graded differently")
                if mixed
                else _average(list(own.values()), len(benchmarks), metric)
            )
        lines.append(Line(subject, "", "here", {column: places[column] for column in columns}))
    return lines


def _score(one: Evaluated, metric: str) -> Place:
    return _place(_estimate(one, metric, alike=False), one, metric)


def _normalised(one: Evaluated | None, metric: str, why: str) -> Place:
    if one is None or one.scientific is None:
        return Place(reason=why if one is None else "not graded so")
    return _place(_estimate(one, metric, alike=True), one, metric)


def _estimate(one: Evaluated, metric: str, alike: bool) -> Estimate | None:
    scores = one.scientific if alike and one.scientific else one.scores
    if metric == "avg":
        return scores.headline
    points = {f"pass@{point.k}": point.estimate for point in scores.curve} | dict(scores.metrics)
    points |= {f"maj@{vote.k}": vote.estimate for vote in scores.majority}
    return points.get(metric)


def _place(estimate: Estimate | None, one: Evaluated, metric: str) -> Place:
    if estimate is None:
        return Place(reason=f"no {metric} of {one.scores.samples} samples")
    shown = f"avg@{one.scores.samples}" if metric == "avg" else metric
    return Place(estimate.value, estimate.ci95, ("d",) if one.changed else (), metric=shown)


def _average(own: Sequence[Evaluated], wanted: int, metric: str) -> Place:
    if len(own) < wanted:
        return Place(reason=f"{len(own)} of {wanted} benchmarks")
    if metric.startswith("maj") or any(_estimate(one, metric, alike=False) is None for one in own):
        return Place(reason=f"no average of {metric}")
    mean = average_of(own, metric)
    marks = ("d",) if any(one.changed for one in own) else ()
    return Place(mean.value, mean.ci95, marks, metric=f"mean of {wanted}")
