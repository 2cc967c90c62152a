"""Our scores beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.claims import MAIN
from analysis.layout import NOTHING, Column, Entry, Row, Table
from analysis.orderings import findings, sources
from analysis.published import PUBLISHED, SIX, Source, number
from analysis.published_benchmarks import benchmarks_table
from analysis.results import Results
from analysis.style import NAMES
from analysis.summary import over_bases


def published_table(results: Results) -> Table | None:
    """The sweep's rows with their score here and what was published of them; None where nothing was."""
    shown = _sources(results)
    keys = _keys(results, shown)
    if not keys:
        return None
    if len(results.parts) > 1:
        return benchmarks_table(results, keys, shown)
    metric = _metric(results, shown)
    columns = (
        Column("row", "Row", numeric=False),
        Column("here", f"Here, {metric} (%)" if metric else "Here", scale=100),
        *(Column(source.name, source.name) for source in shown),
    )
    rows = tuple(Row(_entries(results, key, metric, shown)) for key in keys)
    return Table("", columns, rows, _notes(shown))


def _sources(results: Results) -> tuple[Source, ...]:
    """Those of the claims that are judged on this sweep: its own, if it has any."""
    found = findings(results) if results.metrics else ()
    own = [finding for finding in found if finding.claim.sweep]
    numbered = {known.source for known in PUBLISHED}
    return tuple(source for source in sources(own or found) if source in numbered)


def _keys(results: Results, shown: Sequence[Source]) -> list[str]:
    """Published rows that are rows here, in the order of publication; in the table of methods, all methods."""
    if results.sweep in ("", MAIN) and shown:
        return list(NAMES)
    known = dict.fromkeys(row.row for row in PUBLISHED if row.source in shown)
    return [key for key in known if NAMES.get(key, key) in results.variants]


def _metric(results: Results, shown: Sequence[Source]) -> str:
    """pass@k of the largest k beside a published pass@k."""
    if not results.metrics:
        return ""
    return results.metrics[-1 if any("pass@" in source.measure for source in shown) else 0]


def _entries(results: Results, key: str, metric: str, shown: Sequence[Source]) -> tuple[Entry, ...]:
    name = NAMES.get(key, key)
    rows = [results.evaluated(label) for label in results.members(name).values()]
    here = over_bases(rows, metric).mean if rows else None
    published = (Entry(number(key, source), reason=NOTHING.reason) for source in shown)
    return (Entry(name), Entry(here, reason=NOTHING.reason), *published)


def _notes(shown: Sequence[Source]) -> tuple[str, ...]:
    measures = "; ".join(f"{source.name}: {source.measure}" for source in shown)
    six = f" The six: {SIX}." if any("six" in source.measure for source in shown) else ""
    return (
        f"Published: {measures}.{six} Another model, data and benchmarks: compare the order of a column with "
        "that of another, never the level.",
        *(
            f"{NAMES.get(row.row, row.row)} in {row.source.name}: {row.value} is {row.note}."
            for row in PUBLISHED
            if row.note and row.source in shown
        ),
    )
