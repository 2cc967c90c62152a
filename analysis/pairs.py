"""What is sure and what is not, in two tables: every run with its two errors, every pair of rows with its test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from analysis.comparisons import FEWEST_SEEDS, SIGNIFICANCE, Comparison, family, points
from analysis.layout import NOTHING, Column, Entry, Row, Table
from analysis.results import Results


def run_table(results: Results) -> Table:
    """One line a run and part: its score, and how far other questions or other samples might move it.

    Where nothing is evaluated yet the table has no line and says so.
    """
    metric = _headline(results) if len(results.parts) == 1 else "avg@n"
    columns = (
        Column("label", "Row", numeric=False),
        Column("seed", "Seed"),
        *([Column("part", "Measured on", numeric=False)] if len(results.parts) > 1 else []),
        Column("score", f"{metric} (%)", scale=100, with_interval=True),
        Column("se_questions", "SE questions", scale=100, digits=2),
        Column("se_samples", "SE samples", scale=100, digits=2),
    )
    notes = (
        f"{metric} ± half of its 95% interval over questions. SE questions: how far the score might move on other "
        "questions like these. SE samples: on these questions, sampled again. Neither knows how another training seed "
        "would end: the spread between the lines of a row does.",
    )
    return Table(
        "", columns, tuple(_runs(results)), notes if results.evaluations else ("No run is evaluated yet.",)
    )


def pair_table(results: Results) -> Table:
    """Every pair of rows under the paired test, the greatest difference first.

    Where the sweep repeats its rows on several base models, a pair is compared over all of them.
    """
    metric = _headline(results)
    names = [name for name in results.variants if results.members(name)]
    tests = family(results, combinations(names, 2), metric) if len(names) > 1 else {}
    ordered = sorted((_upwards(test) for test in tests.values()), key=lambda test: -test.difference.value)
    columns = (
        Column("pair", "Pair", numeric=False),
        Column("difference", f"{metric} (points)", scale=100),
        Column("interval", "95% interval"),
        Column("p", "p", digits=4, probability=True),
        Column("p_holm", "p (Holm)", digits=4, probability=True),
        Column("ahead", "Ahead", numeric=False),
    )
    notes = (
        "Paired bootstrap over questions and training seeds: both rows on the same questions, under the seeds they "
        f"share. p (Holm): corrected for the {len(tests)} pairs. Ahead: p (Holm) < {SIGNIFICANCE} and at least "
        f"{FEWEST_SEEDS} seeds{', on every base model' if len(results.bases) > 1 else ''}.",
    )
    return Table(
        "", columns, tuple(map(_pair, ordered)), notes if tests else ("No two rows are evaluated yet.",)
    )


def _headline(results: Results) -> str:
    return results.metrics[0] if results.metrics else "Score"


def _runs(results: Results) -> Iterator[Row]:
    for cell in results.cells:
        measured = results.evaluations.get(cell.run_id)
        for part, done in measured.parts.items() if measured else ():
            headline = done.scores.headline
            half = (headline.ci95[1] - headline.ci95[0]) / 2 if headline.ci95 else None
            yield Row(
                (
                    Entry(cell.label),
                    NOTHING if cell.seed is None else Entry(str(cell.seed)),
                    *([Entry(part)] if len(results.parts) > 1 else []),
                    Entry(headline.value, half, "questions" if half is not None else ""),
                    Entry(headline.se_questions, reason=NOTHING.reason),
                    Entry(headline.se_samples, reason=NOTHING.reason),
                )
            )


def _upwards(test: Comparison) -> Comparison:
    """The row with the higher mean first."""
    return test if test.difference.value >= 0 else test.flipped()


def _pair(test: Comparison) -> Row:
    low, high = test.difference.ci95
    return Row(
        (
            Entry(f"{test.first} against {test.second}"),
            Entry(test.difference.value),
            Entry(f"{points(low)} to {points(high)}"),
            Entry(test.difference.p_value),
            Entry(test.p_holm),
            Entry(test.first if test.decided else "undecided"),
        )
    )
