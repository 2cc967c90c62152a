"""Which orderings of the papers appear in these runs, which are reversed, and which stay undecided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.claims import Claim, claims_for
from analysis.comparisons import (
    FEWEST_SEEDS,
    SIGNIFICANCE,
    Comparison,
    family,
    p_text,
    points,
    why_untested,
)
from analysis.layout import Column, Entry, Row, Table
from analysis.published import Source
from analysis.results import Results
from analysis.style import NAMES

Verdict = Literal["appears", "reversed", "undecided", "not tested"]
ABOUT = 0.03
"""Rows whose difference surely lies within this share are about as good as each other."""
_ABSENT = " is not among the rows"


@dataclass(frozen=True)
class Finding:
    """What these runs say about a claim."""

    claim: Claim
    verdict: Verdict
    comparison: Comparison | None
    """Higher against lower; None where it was not tested."""
    reason: str = ""
    """Why it was not tested."""
    metric: str = ""
    """What it was judged on."""


def findings(results: Results) -> tuple[Finding, ...]:
    """Judges every claim on this sweep by the paired test, Holm-corrected over the distinct pairs of a metric.

    Where the sweep repeats its rows on several base models, a claim is judged over all of them.
    """
    if not results.metrics:
        return ()
    claims = claims_for(results.sweep, results.variants)
    rows = {claim: _rows(results, claim) for claim in claims}
    pairs: dict[str, set[tuple[str, str]]] = {}
    for claim, found in rows.items():
        if isinstance(found, tuple):
            pairs.setdefault(_metric(results, claim), set()).add(_sorted(found))
    tests = {metric: family(results, sorted(of), metric) for metric, of in pairs.items()}
    return tuple(
        _judge(results, claim, found, tests.get(_metric(results, claim), {}), _metric(results, claim))
        for claim, found in rows.items()
    )


def findings_table(found: Sequence[Finding], metric: str) -> Table:
    """One line a claim that was tested: what was published, what these runs say; the others in the notes."""
    columns = (
        Column("claim", "Ordering", numeric=False),
        Column("published_gap", "Published"),
        Column("here", "Here"),
        Column("interval", "95% interval"),
        Column("p_holm", "p (Holm)"),
        Column("verdict", "Verdict", numeric=False),
    )
    marks = _marks(found)
    tested = [finding for finding in found if finding.comparison]
    rows = tuple(Row(_entries(finding, marks[finding.claim.source], metric)) for finding in tested)
    return Table("", columns, rows, (*_legend(found, metric, marks), *_untested(found)))


def summary_text(found: Sequence[Finding], metric: str) -> str:
    """The verdicts counted, a sentence a source; what did not come out as published is named."""
    sentences = [
        _sentence(source, [finding for finding in found if finding.claim.source == source])
        for source in sources(found)
    ]
    return " ".join([f"Published orderings on {metric}.", *sentences])


def sources(found: Iterable[Finding]) -> tuple[Source, ...]:
    """Where the claims were published, each once."""
    return tuple(dict.fromkeys(finding.claim.source for finding in found))


def _metric(results: Results, claim: Claim) -> str:
    """The headline; of a claim on many samples pass@k of the largest k, on the claim's own benchmark if it is here."""
    if claim.samples == "mean":
        return results.metrics[0]
    if len(results.parts) == 1:
        return results.metrics[-1] if "pass@" in results.metrics[-1] else ""
    own = (metric for metric in results.metrics if metric.startswith(f"{claim.source.benchmark} pass@"))
    return next(own, "")


def _rows(results: Results, claim: Claim) -> tuple[str, str] | str:
    """The rows of higher and lower, or why they cannot be tested."""
    names = [NAMES.get(row, row) for row in (claim.higher, claim.lower)]
    if not _metric(results, claim):
        return f"no pass@k of {claim.source.benchmark}"
    problems = [problem for name in names if (problem := _problem(results, name))]
    return "; ".join(problems) if problems else (names[0], names[1])


def _problem(results: Results, variant: str) -> str:
    if variant not in results.variants:
        return f"{variant}{_ABSENT}"
    return "" if results.members(variant) else f"{variant} has no scores"


def _sorted(pair: tuple[str, str]) -> tuple[str, str]:
    return (min(pair), max(pair))


Tests = Mapping[tuple[str, str], Comparison]


def _judge(results: Results, claim: Claim, rows: tuple[str, str] | str, tests: Tests, metric: str) -> Finding:
    if isinstance(rows, str):
        return Finding(claim, "not tested", None, rows)
    test = tests.get(_sorted(rows))
    if test is None:
        why = why_untested(results, metric)
        return Finding(claim, "not tested", None, f"{rows[0]} and {rows[1]}: {why}")
    seen = test if test.first == rows[0] else test.flipped()
    verdict = _better(seen) if claim.relation == ">" else _as_good(seen)
    return Finding(claim, verdict, seen, metric=metric)


def _better(seen: Comparison) -> Verdict:
    if not seen.decided:
        return "undecided"
    return "appears" if seen.difference.value > 0 else "reversed"


def _as_good(seen: Comparison) -> Verdict:
    """About as good: the whole interval lies within the margin; not so: the whole of it lies below."""
    low, high = seen.difference.ci95
    if seen.difference.seeds < FEWEST_SEEDS:
        return "undecided"
    if low > -ABOUT and high < ABOUT:
        return "appears"
    return "reversed" if high < -ABOUT and seen.decided else "undecided"


def _marks(found: Sequence[Finding]) -> dict[Source, str]:
    return {source: f"[{chr(ord('a') + i)}]" for i, source in enumerate(sources(found))}


def _entries(finding: Finding, mark: str, metric: str) -> tuple[Entry, ...]:
    test, gap = finding.comparison, finding.claim.gap
    assert test is not None
    low, high = (points(end) for end in test.difference.ci95)
    on = "" if finding.metric == metric else f" ({finding.metric})"
    texts = (
        finding.claim.text + on,
        f"{'-' if gap is None else f'{gap:+.1f}'} {mark}",
        points(test.difference.value),
        f"{low} to {high}",
        p_text(test.p_holm).removeprefix("p ").removeprefix("= "),
        finding.verdict if test.agreed else f"{finding.verdict}: base models disagree",
    )
    return tuple(map(Entry, texts))


def _legend(found: Sequence[Finding], metric: str, marks: Mapping[Source, str]) -> Iterable[str]:
    if any(finding.comparison for finding in found):
        about = any(finding.claim.relation == "≈" for finding in found)
        yield (
            f"Here: difference of {metric} in points by paired bootstrap over questions and training seeds; "
            f"appears or reversed: p < {SIGNIFICANCE} after Holm's correction over all pairs, at least "
            f"{FEWEST_SEEDS} seeds."
            + (f" ≈ appears: interval within ±{100 * ABOUT:g} points." if about else "")
        )
    shown = dict.fromkeys(finding.claim.source for finding in found if finding.comparison)
    if shown:
        listed = "; ".join(f"{marks[source]} {source.name} ({source.measure})" for source in shown)
        yield f"Published differences, in points of another measure: {listed}."


def _untested(found: Sequence[Finding]) -> Iterable[str]:
    reasons = [finding.reason for finding in found if finding.comparison is None]
    if reasons:
        whys = dict.fromkeys(why for reason in reasons for why in reason.split("; "))
        absent = [why.removesuffix(_ABSENT) for why in whys if why.endswith(_ABSENT)]
        others = [why for why in whys if not why.endswith(_ABSENT)]
        lacking = [f"no row {', '.join(absent)}"] if absent else []
        yield f"Not tested: {len(reasons)} published orderings ({'; '.join([*lacking, *others])})."


def _sentence(source: Source, found: Sequence[Finding]) -> str:
    tested = [finding for finding in found if finding.comparison]
    counts = [
        _count(verdict, [finding.claim.text for finding in tested if finding.verdict == verdict])
        for verdict in ("appears", "reversed", "undecided")
    ]
    shown = "; ".join(count for count in counts if count)
    return f"{source.name}: {len(tested)} of {len(found)} tested{f'; {shown}' if shown else ''}."


def _count(verdict: Verdict, texts: Sequence[str]) -> str:
    if not texts:
        return ""
    counted = f"{len(texts)} {'appear' if verdict == 'appears' and len(texts) > 1 else verdict}"
    return counted if verdict == "appears" else f"{counted} ({', '.join(texts)})"
