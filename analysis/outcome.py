"""What came out of a sweep, in one line."""

from __future__ import annotations

from analysis import summary
from analysis.over_bases import pooled_leader
from analysis.results import Results
from analysis.tables import Leader, leader

_NAMED = 3
"""Most rows that the line names."""


def outcome(results: Results) -> str:
    """The best row of the first score, whether the tests put it ahead of the others, and what is missing."""
    if not results.evaluations:
        return f"Nothing to compare yet: {_missing(results)}."
    missing = _missing(results)
    return f"{_best(results)}{f'; {missing}' if missing else ''}."


def _best(results: Results) -> str:
    metric = results.metrics[0]
    pooled = pooled_leader(results)
    if pooled is not None:
        rows = [results.evaluated(label) for label in results.members(pooled.label).values()]
        score = summary.over_bases(rows, metric).mean
        return f"{_said(pooled, score, metric)}, over {len(results.bases)} base models"
    found = [leader(results, metric, base) for base in results.bases if _any_on(results, base)]
    return "; ".join(
        _said(best, summary.of_metric(results.evaluated(best.label), metric).mean, metric) for best in found
    )


def _any_on(results: Results, base: str) -> bool:
    return any(of == base and results.evaluated(label) for label, (_, of) in results.places.items())


def _said(best: Leader, score: float, metric: str) -> str:
    start = f"{best.label} is highest ({metric} {100 * score:.1f}%)"
    if best.supported:
        return f"{start}, ahead of {'all' if len(best.against) > 1 else 'the'} {_others(len(best.against))}"
    if not best.against and not best.untested:
        return f"{start}, the only row"
    tied = [*(test.second for test in best.equals), *best.untested]
    more = f" and {len(tied) - _NAMED} more" if len(tied) > _NAMED else ""
    return f"{start}; undecided against {', '.join(tied[:_NAMED])}{more}"


def _others(count: int) -> str:
    return f"{count} others" if count > 1 else "other"


def _missing(results: Results) -> str:
    absent = len(results.runs) - len(results.evaluations)
    return f"{absent} of {len(results.runs)} runs without scores" if absent else ""
