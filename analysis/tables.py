"""The tables of a sweep: rows against scores with their intervals; nothing missing goes unsaid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from analysis import summary
from analysis.cells import Cell
from analysis.comparisons import FEWEST_SEEDS, SIGNIFICANCE, Comparison, family, why_untested
from analysis.layout import NOTHING, ONE_RUN, Column, Entry, Row, Table
from analysis.results import Results
from analysis.style import NAMES
from analysis.summary import Summary

TO_BEST = Column("to_best", "To best", scale=100)
P_BEST = Column("p_best", "p", digits=4, probability=True)
BEHIND = "‡"
"""Stands after a score that is behind the best of its column by the corrected tests."""
_MOST = 3
"""Most pass@k that get a column, and most rows whose comparison with the best a note spells out."""


@dataclass(frozen=True)
class Leader:
    """The row with the highest mean of one metric, and its tests against all the others."""

    label: str
    against: Mapping[str, Comparison]
    """By the other row's label."""
    untested: tuple[str, ...]
    """Labels that cannot be compared with the leader."""
    why: str
    """Why they cannot."""

    @property
    def supported(self) -> bool:
        """Whether it is ahead of every other row by the corrected tests."""
        return bool(self.against) and not self.untested and not self.equals

    @property
    def equals(self) -> tuple[Comparison, ...]:
        """Tests that do not put it ahead."""
        return tuple(
            test for test in self.against.values() if not (test.decided and test.difference.value > 0)
        )

    def entries(self, label: str) -> tuple[Entry, Entry]:
        """A row's difference to this one, and its p-value, for the columns `TO_BEST` and `P_BEST`."""
        if label == self.label:
            return Entry("best"), NOTHING
        test = self.against.get(label)
        if test is None:
            return Entry(self.why), NOTHING
        return Entry(-test.difference.value), Entry(test.p_holm)


def main_table(results: Results) -> Table:
    """Rows against scores; in bold the best, only where the paired tests put it before all others.

    Where the sweep repeats its rows on several base models, a row is compared with those on its own.
    """
    best = {
        (metric, base): leader(results, metric, base)
        for metric in shown_metrics(results)
        for base in results.bases
        if _on(results, base)
    }
    rows = tuple(Row(_entries(results, label, best)) for label in results.labels)
    notes = (*_legend(results, best), *missing(results), *protocol_note(results))
    return Table("", _columns(results), rows, notes)


def leader(results: Results, metric: str, base: str = "") -> Leader:
    """The best row of a metric that all evaluated rows have, tested against each of the others.

    Args:
        results: at least one row is evaluated on the base model.
        metric: which score.
        base: the rows on this base model.
    """
    done = _on(results, base)
    first = max(done, key=lambda label: summary.of_metric(results.evaluated(label), metric).mean)
    return against_others(results, metric, first, done)


def against_others(results: Results, metric: str, first: str, rows: Sequence[str]) -> Leader:
    """One row tested against each of the others; Holm's correction runs over them."""
    others = [name for name in rows if name != first]
    tests = family(results, [(first, other) for other in others], metric)
    against = {other: tests[first, other] for other in others if (first, other) in tests}
    untested = tuple(other for other in others if other not in against)
    return Leader(first, against, untested, why_untested(results, metric))


def shown_metrics(results: Results) -> tuple[str, ...]:
    """The metrics that tables have columns for, the headline first.

    Of a split avg@n and at most three pass@k, the last among them; of benchmarks their mean and each of them, and
    pass@n of as many benchmarks as that, else of their mean alone.
    """
    parts = len(results.parts)
    if parts > 1:
        means, many = results.metrics[: parts + 1], results.metrics[parts + 1 :]
        return (*means, *(many if parts <= _MOST else many[:1]))
    mean, many = results.metrics[:1], results.metrics[1:]
    if len(many) <= _MOST:
        return (*mean, *many)
    return (*mean, *(many[round((i + 1) * len(many) / _MOST) - 1] for i in range(_MOST)))


def _on(results: Results, base: str) -> list[str]:
    """The evaluated rows on a base model."""
    return [
        label for label in results.labels if results.places[label][1] == base and results.evaluated(label)
    ]


def missing(results: Results) -> tuple[str, ...]:
    """Which cells have no scores, and why: a sentence for each, or one for many that lack them alike."""
    alike: dict[str, list[Cell]] = {}
    for cell in results.cells:
        if cell.run_id not in results.evaluations:
            alike.setdefault(results.reason(cell), []).append(cell)
    return tuple(note for cells in alike.values() for note in _absent(results, cells))


def _absent(results: Results, cells: Sequence[Cell]) -> Iterator[str]:
    damage = results.damage.get(cells[0].run_id, "")
    if len(cells) > _MOST:
        rows = ", ".join(dict.fromkeys(cell.label for cell in cells))
        why = f"{results.reason(cells[0])}; they are not in the means"
        yield f"{len(cells)} runs of {rows}: {why}.{f' The first: {damage}' if damage else ''}"
        return
    for cell in cells:
        seed = "" if cell.seed is None else f", seed {cell.seed}"
        why = f"{results.reason(cell)}; it is not in the means."
        yield f"{cell.label}{seed} (run {cell.run_id}): {why} {results.damage.get(cell.run_id, '')}".rstrip()


def protocol_note(results: Results) -> tuple[str, ...]:
    """The protocol that every number of the table was measured under."""
    return () if results.protocol_line is None else (results.protocol_line,)


def _columns(results: Results) -> tuple[Column, ...]:
    metrics = shown_metrics(results)
    scores = [Column(metric, f"{metric} (%)", scale=100, with_interval=True) for metric in metrics]
    about = [Column("se_questions", "SE", scale=100, digits=2), TO_BEST, P_BEST]
    nothing = [Column("scores", "Scores", numeric=False)]
    return (
        Column("method", "Method" if _are_methods(results) else "Row", numeric=False),
        Column("seeds", "Seeds"),
        *(_arranged(results, scores, about) if scores else nothing),
        Column("response_tokens", "Length (tokens)", with_interval=True),
    )


Item = TypeVar("Item")


def _arranged(results: Results, scores: Sequence[Item], about: Sequence[Item]) -> tuple[Item, ...]:
    """The headline with what is said about it, then the other scores; a mean stands behind its benchmarks."""
    parts = len(results.parts)
    if parts == 1:
        return (scores[0], *about, *scores[1:])
    return (*scores[1 : parts + 1], scores[0], *about, *scores[parts + 1 :])


def _are_methods(results: Results) -> bool:
    return set(results.labels) <= set(NAMES.values())


def _entries(results: Results, label: str, leaders: Mapping[tuple[str, str], Leader]) -> tuple[Entry, ...]:
    done, base = results.evaluated(label), results.places[label][1]
    begin = (Entry(label), _seeds(results, label))
    if not done:
        reason = Entry(reason=_reasons(results, label))
        return (*begin, reason, *[NOTHING] * (len(_columns(results)) - 3))
    own = {metric: best for (metric, of), best in leaders.items() if of == base}
    scores = [_score(summary.of_metric(done, metric), label, best) for metric, best in own.items()]
    first = results.metrics[0]
    error = Entry(summary.question_error(done, first), reason=NOTHING.reason)
    shown = _arranged(results, scores, [error, *own[first].entries(label)])
    return (*begin, *shown, _entry(summary.of_length(done)))


def _score(of: Summary, label: str, best: Leader) -> Entry:
    """In bold where it is ahead of all others; with a mark where it is behind the best."""
    entry, test = _entry(of), best.against.get(label)
    behind = test is not None and test.decided and test.difference.value > 0
    mark = entry.mark + (BEHIND if behind else "")
    return replace(entry, best=best.supported and best.label == label, mark=mark)


def _seeds(results: Results, label: str) -> Entry:
    """How many training seeds are in the means, and of how many asked for; a base model has none."""
    done, asked = results.evaluated(label), results.of_label(label)
    if asked[0].seed is None:
        return NOTHING
    if len(done) == len(asked):
        return Entry(str(len(done)))
    return Entry(f"{len(done)}/{len(asked)}", reason=_reasons(results, label) if done else "")


def _entry(of: Summary) -> Entry:
    mark = ONE_RUN if of.interval == "questions" else ""
    return Entry(of.mean, of.half_width, of.interval, mark=mark)


def _reasons(results: Results, label: str) -> str:
    """Why a row lacks runs, each cause once with the number of runs it stopped."""
    absent = [cell for cell in results.of_label(label) if cell.run_id not in results.evaluations]
    causes = [results.reason(cell) for cell in absent]
    counted = {cause: causes.count(cause) for cause in causes}
    return "; ".join(f"{cause} (x{count})" if count > 1 else cause for cause, count in counted.items())


def _legend(results: Results, leaders: Mapping[tuple[str, str], Leader]) -> tuple[str, ...]:
    if not leaders:
        return ()
    repeated = len(results.bases) > 1
    where = " on the same base model" if repeated else ""
    told = [key for key in leaders if not repeated or key[0] == results.metrics[0]]
    return (
        f"Mean over training seeds ± half-width of the 95% t-interval over seeds; {results.questions} questions "
        f"of {results.measured_on}. SE: standard error of {results.metrics[0]} over questions. "
        f"{ONE_RUN} one run: half-width of its interval over questions.",
        f"To best: {results.metrics[0]} minus that of the best row{where}, in points, with p of the paired "
        "bootstrap over questions and training seeds, Holm-corrected over the rows. Bold: ahead of every "
        f"other row{where}; {BEHIND} behind the best of its column{where}: p < {SIGNIFICANCE}, at least "
        f"{FEWEST_SEEDS} seeds.",
        *(why_not_bold(*key, leaders[key]) for key in told if not leaders[key].supported),
    )


def why_not_bold(metric: str, where: str, best: Leader) -> str:
    """Whom the best row is not shown to be ahead of; the numbers too where they are few."""
    start = f"No {metric} is bold{f' on {where}' if where else ''}: "
    if not best.against and not best.untested:
        return f"{start}there is only one row."
    if best.untested:
        others = ", ".join(best.untested)
        return f"{start}{best.label} has the highest mean, but is not compared with {others}: {best.why}."
    few = len(best.equals) <= _MOST
    equals = [f"{test.second} ({test.describe()})" if few else test.second for test in best.equals]
    return (
        f"{start}{best.label} has the highest mean, but is not shown to be ahead of "
        f"{('; ' if few else ', ').join(equals)}."
    )
