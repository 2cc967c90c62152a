"""The table over several base models: what holds on all of those that a sweep repeats its rows on."""

from __future__ import annotations

from analysis import summary
from analysis.comparisons import FEWEST_SEEDS, SIGNIFICANCE, Comparison, points
from analysis.layout import NOTHING, Column, Entry, Row, Table
from analysis.results import Results
from analysis.tables import P_BEST, TO_BEST, Leader, against_others, why_not_bold

_METHOD = (
    "the mean over the base models of the paired differences, over other questions and other training seeds of these "
    "same base models (the errors of the seeds of each base model combined)"
)
"""What is tested, for the notes: two base models say little about a third."""


def pooled_table(results: Results) -> Table | None:
    """Variants against the first score, averaged over the base models; None where there is one.

    In bold the best, only where it is ahead of all others over the base models, and on each of them.
    """
    best = pooled_leader(results)
    if best is None:
        return None
    rows = tuple(Row(_entries(results, variant, best)) for variant in results.variants)
    return Table("", _columns(results), rows, _notes(results, best))


def pooled_leader(results: Results) -> Leader | None:
    """The variant with the highest mean over all base models; None without two of them, or without scores."""
    complete = [variant for variant in results.variants if _complete(results, variant)]
    if len(results.bases) == 1 or not complete:
        return None
    metric = results.metrics[0]
    first = max(complete, key=lambda variant: _summary(results, variant).mean)
    return against_others(results, metric, first, complete)


def _complete(results: Results, variant: str) -> bool:
    return len(results.members(variant)) == len(results.bases)


def _summary(results: Results, variant: str) -> summary.Summary:
    rows = [results.evaluated(label) for label in results.members(variant).values()]
    return summary.over_bases(rows, results.metrics[0])


def _columns(results: Results) -> tuple[Column, ...]:
    metric = results.metrics[0]
    return (
        Column("row", "Row", numeric=False),
        Column("runs", "Runs"),
        Column(metric, f"{metric} (%)", scale=100, with_interval=True),
        TO_BEST,
        Column("interval", "95% interval"),
        P_BEST,
        *(Column(f"to_best_{base}", base, scale=100) for base in results.bases),
    )


def _entries(results: Results, variant: str, best: Leader) -> tuple[Entry, ...]:
    members = results.members(variant)
    if not _complete(results, variant):
        without = ", ".join(base for base in results.bases if base not in members)
        reason = Entry(reason=f"no scores on {without}")
        return (Entry(variant), NOTHING, reason, *[NOTHING] * (3 + len(results.bases)))
    of = _summary(results, variant)
    bold = best.supported and best.label == variant
    score = Entry(of.mean, of.half_width, of.interval, bold)
    difference, p = best.entries(variant)
    test = best.against.get(variant)
    return (Entry(variant), Entry(str(of.runs)), score, difference, _interval(test), p, *_each(results, test))


def _interval(test: Comparison | None) -> Entry:
    if test is None:
        return NOTHING
    low, high = test.flipped().difference.ci95
    return Entry(f"{points(low)} to {points(high)}")


def _each(results: Results, test: Comparison | None) -> tuple[Entry, ...]:
    if test is None:
        return tuple(NOTHING for _ in results.bases)
    return tuple(Entry(-test.by_base[base]) for base in results.bases)


def _notes(results: Results, best: Leader) -> tuple[str, ...]:
    metric, bases = results.metrics[0], ", ".join(results.bases)
    return (
        f"{metric} averaged over the base models {bases}, ± half-width of the 95% interval over seeds of these "
        f"base models. To best: {_METHOD}; p is Holm-corrected over the rows. The last columns: the difference "
        "to the same row on each base model.",
        "Bold: ahead of every other row over the base models and on each of them, "
        f"p < {SIGNIFICANCE}, at least {FEWEST_SEEDS} seeds of each.",
        *([] if best.supported else [why_not_bold(metric, "average over the base models", best)]),
    )
