"""Which orderings of the papers appear in these runs, which are reversed, and which stay undecided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.comparisons import FEWEST_SEEDS, SIGNIFICANCE, Comparison, family, points
from analysis.layout import NOTHING, Column, Entry, Row, Table
from analysis.published import LABEL, PAPER, RE_EVALUATION, average
from analysis.results import Results
from analysis.style import NAMES

Verdict = Literal["appears", "reversed", "undecided", "not tested"]


@dataclass(frozen=True)
class Claim:
    """A published ordering of two methods."""

    higher: str
    lower: str
    source: str

    @property
    def gap(self) -> float:
        """Published difference in points.

        Raises:
            ValueError: the source gives no average for one of the two.
        """
        higher, lower = average(self.higher, self.source), average(self.lower, self.source)
        if higher is None or lower is None:
            raise ValueError(f"{self.source} has no average for {self.higher} or {self.lower}")
        return higher - lower

    @property
    def text(self) -> str:
        """Prefix-RFT > SFT."""
        return f"{NAMES[self.higher]} > {NAMES[self.lower]}"


CLAIMS = (
    Claim("prefix_rft", "sft", PAPER),
    Claim("prefix_rft", "rft", PAPER),
    Claim("prefix_rft", "sft_rft", PAPER),
    Claim("sft_rft", "sft", PAPER),
    Claim("sft_rft", "rft", PAPER),
    Claim("rft", "sft", PAPER),
    Claim("prefix_rft", "base", PAPER),
    Claim("sft_rft", "base", PAPER),
    Claim("rft", "base", PAPER),
    Claim("sft", "base", PAPER),
    Claim("sft_rft", "prefix_rft", RE_EVALUATION),
    Claim("sft_rft", "sft", RE_EVALUATION),
    Claim("sft", "prefix_rft", RE_EVALUATION),
)
"""The orderings of the paper's own table, then those of the re-evaluation with corrected baselines."""


@dataclass(frozen=True)
class Finding:
    """What these runs say about a claim."""

    claim: Claim
    verdict: Verdict
    comparison: Comparison | None
    """Higher against lower; None where it was not tested."""
    reason: str = ""
    """Why it was not tested."""


def findings(results: Results) -> tuple[Finding, ...]:
    """Judges every claim on the first metric by the paired test, Holm-corrected over the distinct pairs."""
    if not results.metrics:
        return ()
    rows = {claim: _rows(results, claim) for claim in CLAIMS}
    pairs = {_sorted(found) for found in rows.values() if isinstance(found, tuple)}
    tests = family(results, sorted(pairs), results.metrics[0])
    return tuple(_judge(claim, found, tests) for claim, found in rows.items())


def findings_table(found: Sequence[Finding], metric: str) -> Table:
    """One line a claim: what was published, what these runs say."""
    columns = (
        Column("claim", "Ordering", numeric=False),
        Column("source", "Published in", numeric=False),
        Column("published_gap", "Published gap"),
        Column("here", "Here"),
        Column("interval", "95% interval"),
        Column("p_holm", "p (Holm)", digits=3),
        Column("verdict", "Verdict", numeric=False),
    )
    note = (
        f"Here: difference of {metric} in points, by paired bootstrap over questions and training seeds; "
        f"appears or reversed: p < {SIGNIFICANCE} after Holm's correction over all pairs, at least "
        f"{FEWEST_SEEDS} training seeds. Published gaps are in points of another measure ({LABEL})."
    )
    return Table("", columns, tuple(Row(_entries(finding)) for finding in found), (note,))


def summary_text(found: Sequence[Finding], metric: str) -> str:
    """The verdicts in plain sentences, a paragraph a source."""
    return "\n\n".join(
        _paragraph(source, [finding for finding in found if finding.claim.source == source], metric)
        for source in dict.fromkeys(finding.claim.source for finding in found)
    )


def _rows(results: Results, claim: Claim) -> tuple[str, str] | str:
    """The rows of higher and lower, or why they cannot be tested."""
    higher, lower = _row_of(results, claim.higher), _row_of(results, claim.lower)
    problems = [found.problem for found in (higher, lower) if found.problem]
    return "; ".join(problems) if problems else (higher.label, lower.label)


@dataclass(frozen=True)
class _RowOf:
    label: str
    problem: str = ""


def _row_of(results: Results, method: str) -> _RowOf:
    labels = [label for label in results.labels if results.method(label) == method]
    if not labels:
        return _RowOf("", f"{NAMES[method]} is not among the runs")
    if len(labels) > 1:
        return _RowOf("", f"{NAMES[method]} stands in {len(labels)} rows ({', '.join(labels)})")
    return _RowOf(labels[0], "" if results.evaluated(labels[0]) else f"{NAMES[method]} has no scores")


def _sorted(pair: tuple[str, str]) -> tuple[str, str]:
    return (min(pair), max(pair))


Tests = Mapping[tuple[str, str], Comparison]


def _judge(claim: Claim, rows: tuple[str, str] | str, tests: Tests) -> Finding:
    if isinstance(rows, str):
        return Finding(claim, "not tested", None, rows)
    test = tests.get(_sorted(rows))
    if test is None:
        return Finding(claim, "not tested", None, f"{rows[0]} and {rows[1]} share no training seed")
    seen = test if test.first == rows[0] else test.flipped()
    if not seen.decided:
        return Finding(claim, "undecided", seen)
    return Finding(claim, "appears" if seen.difference.value > 0 else "reversed", seen)


def _entries(finding: Finding) -> tuple[Entry, ...]:
    begin = (Entry(finding.claim.text), Entry(finding.claim.source), Entry(f"{finding.claim.gap:+.1f}"))
    test = finding.comparison
    if test is None:
        return (*begin, *[NOTHING] * 3, Entry(f"{finding.verdict}: {finding.reason}"))
    low, high = (points(end) for end in test.difference.ci95)
    return (
        *begin,
        Entry(points(test.difference.value)),
        Entry(f"{low} to {high}"),
        Entry(test.p_holm),
        Entry(finding.verdict),
    )


def _paragraph(source: str, found: Sequence[Finding], metric: str) -> str:
    tested = sum(finding.verdict != "not tested" for finding in found)
    how_many = f"all {len(found)}" if tested == len(found) else f"{tested} of {len(found)}"
    return " ".join(
        [f"Orderings published in {source}, {how_many} tested here on {metric}.", *_sentences(found)]
    )


_LEADS: Mapping[Verdict, str] = {
    "appears": "Appear",
    "reversed": "The other way round",
    "undecided": "Undecided, no difference shown either way",
    "not tested": "Not tested",
}


def _sentences(found: Sequence[Finding]) -> Iterable[str]:
    for verdict, lead in _LEADS.items():
        parts = [_clause(finding) for finding in found if finding.verdict == verdict]
        if parts:
            yield f"{lead}: {'; '.join(parts)}."


def _clause(finding: Finding) -> str:
    test = finding.comparison
    if test is None:
        return f"{finding.claim.text} ({finding.reason})"
    if finding.verdict == "undecided":
        return f"{finding.claim.text} ({test.describe()})"
    return f"{finding.claim.text} ({points(test.difference.value)} points)"
