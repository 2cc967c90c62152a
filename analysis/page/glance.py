"""What a reader wants to know of a sweep in a minute: what was compared, how, what won, how sure, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.outcome import outcome
from analysis.over_bases import pooled_leader
from analysis.page.sheet import Sheet
from analysis.results import Results
from analysis.tables import Leader, leader, missing

MOST_COMPARISONS = 4
"""Comparisons of the best row that are spelt out; the tables have all of them."""


@dataclass(frozen=True)
class Fact:
    """One answer."""

    term: str
    sentences: tuple[str, ...]
    command: str = ""
    """A command line that belongs to it."""


def glance(sheet: Sheet) -> tuple[Fact, ...]:
    """The answers, in the order of the questions."""
    return tuple(_facts(sheet))


def _facts(sheet: Sheet) -> Iterator[Fact]:
    results = sheet.results
    if sheet.reproduces:
        yield Fact("Reproduces", (f"{sheet.reproduces}.",))
    yield Fact("Compared", (_compared(results),))
    yield Fact("Protocol", (results.protocol_line or "No run has been evaluated yet.",))
    yield Fact("Outcome", (outcome(results),))
    sure = tuple(_sure(results))
    if sure:
        yield Fact("How sure", sure)
    yield Fact("Missing", missing(results) or ("Nothing: every run has its scores.",))
    if sheet.commands.sweep:
        text = "What is done is not done again. The command of a single run stands on the run's own page."
        yield Fact("Run it again", (text,), sheet.commands.sweep)


def _compared(results: Results) -> str:
    seeds = {cell.seed for cell in results.cells if cell.seed is not None}
    bases = f", on {len(results.bases)} base models" if len(results.bases) > 1 else ""
    names = ", ".join(results.variants)
    trained = f"{len(seeds)} training {'seed' if len(seeds) == 1 else 'seeds'}" if seeds else "no training"
    return f"{names}{bases}; {trained}, {len(results.runs)} runs."


def _sure(results: Results) -> Iterator[str]:
    """The best row against its nearest rivals; over the base models where there are several."""
    for where, best in _leaders(results):
        tests = sorted(best.against.values(), key=lambda test: test.difference.value)
        for test in tests[:MOST_COMPARISONS]:
            verdict = "ahead" if test.decided and test.difference.value > 0 else "undecided"
            yield f"{test.first} against {test.second}{where}: {test.describe()}: {verdict}."
        if len(tests) > MOST_COMPARISONS:
            yield f"Against the {len(tests) - MOST_COMPARISONS} others the difference is larger."


def _leaders(results: Results) -> Sequence[tuple[str, Leader]]:
    if not results.evaluations:
        return []
    pooled = pooled_leader(results)
    if pooled is not None:
        return [(f" over {len(results.bases)} base models", pooled)]
    metric = results.metrics[0]
    evaluated = [base for base in results.bases if _any_on(results, base)]
    return [(f" on {base}" if base else "", leader(results, metric, base)) for base in evaluated]


def _any_on(results: Results, base: str) -> bool:
    return any(of == base and results.evaluated(label) for label, (_, of) in results.places.items())
