"""The main table: methods against scores with their intervals; nothing missing goes unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis import summary
from analysis.comparisons import FEWEST_SEEDS, SIGNIFICANCE, Comparison, family
from analysis.layout import NOTHING, ONE_RUN, Column, Entry, Row, Table
from analysis.results import Results
from analysis.summary import Summary


@dataclass(frozen=True)
class Leader:
    """The row with the highest mean of one metric, and its tests against all the others."""

    label: str
    against: Mapping[str, Comparison]
    """By the other row's label."""
    untested: tuple[str, ...]
    """Labels that share no training seed with the leader."""

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


def main_table(results: Results) -> Table:
    """Methods against scores; in bold the best, only where the paired tests put it before all others."""
    leaders = {metric: leader(results, metric) for metric in results.metrics}
    rows = tuple(Row(_entries(results, label, leaders)) for label in results.labels)
    notes = (*_legend(results, leaders), *missing(results), *protocol_note(results))
    return Table("", _columns(results), rows, notes)


def leader(results: Results, metric: str) -> Leader:
    """The best row of a metric that all evaluated rows have, tested against each of the others."""
    done = [label for label in results.labels if results.evaluated(label)]
    first = max(done, key=lambda label: summary.of_metric(results.evaluated(label), metric).mean)
    others = [label for label in done if label != first]
    tests = family(results, [(first, other) for other in others], metric)
    against = {other: tests[first, other] for other in others if (first, other) in tests}
    return Leader(first, against, tuple(other for other in others if other not in against))


def missing(results: Results) -> tuple[str, ...]:
    """One sentence for every cell without scores: which run, and why."""
    return tuple(
        f"{cell.label}{'' if cell.seed is None else f', seed {cell.seed}'} (run {cell.run_id}): "
        f"{results.reason(cell)}; it is not in the means. {results.damage.get(cell.run_id, '')}".rstrip()
        for cell in results.cells
        if cell.run_id not in results.evaluations
    )


def protocol_note(results: Results) -> tuple[str, ...]:
    """The protocol that every number of the table was measured under."""
    return () if results.protocol_line is None else (results.protocol_line,)


def _columns(results: Results) -> tuple[Column, ...]:
    scores = [Column(metric, f"{metric} (%)", scale=100, with_interval=True) for metric in results.metrics]
    error = [Column("se_questions", "SE", scale=100, digits=2)] if scores else []
    return (
        Column("method", "Method", numeric=False),
        Column("seeds", "Seeds"),
        *(scores[:1] or [Column("scores", "Scores", numeric=False)]),
        *error,
        *scores[1:],
        Column("response_tokens", "Length (tokens)", with_interval=True),
    )


def _entries(results: Results, label: str, leaders: Mapping[str, Leader]) -> tuple[Entry, ...]:
    done = results.evaluated(label)
    begin = (Entry(label), _seeds(results, label))
    if not done:
        reason = Entry(reason=_reasons(results, label))
        return (*begin, reason, *[NOTHING] * (len(_columns(results)) - 3))
    scores = [
        _entry(summary.of_metric(done, metric), best=best.supported and best.label == label)
        for metric, best in leaders.items()
    ]
    error = Entry(summary.question_error(done, results.metrics[0]), reason=NOTHING.reason)
    return (*begin, scores[0], error, *scores[1:], _entry(summary.of_length(done)))


def _seeds(results: Results, label: str) -> Entry:
    """How many training seeds are in the means, and of how many asked for; a base model has none."""
    done, asked = results.evaluated(label), results.of_label(label)
    if asked[0].seed is None:
        return NOTHING
    if len(done) == len(asked):
        return Entry(str(len(done)))
    return Entry(f"{len(done)}/{len(asked)}", reason=_reasons(results, label) if done else "")


def _entry(of: Summary, best: bool = False) -> Entry:
    mark = ONE_RUN if of.interval == "questions" else ""
    return Entry(of.mean, of.half_width, of.interval, best, mark=mark)


def _reasons(results: Results, label: str) -> str:
    """Why a row lacks runs, each cause once with the number of runs it stopped."""
    absent = [cell for cell in results.of_label(label) if cell.run_id not in results.evaluations]
    causes = [results.reason(cell) for cell in absent]
    counted = {cause: causes.count(cause) for cause in causes}
    return "; ".join(f"{cause} (x{count})" if count > 1 else cause for cause, count in counted.items())


def _legend(results: Results, leaders: Mapping[str, Leader]) -> tuple[str, ...]:
    if not leaders:
        return ()
    questions = next(len(done.questions) for done in results.evaluations.values())
    return (
        f"Mean over training seeds ± half-width of the 95% t-interval over seeds; {questions} questions. "
        f"SE: standard error of {results.metrics[0]} over questions. "
        f"{ONE_RUN} one run: half-width of its interval over questions.",
        "Bold: ahead of every other row by the paired bootstrap over questions and training seeds, "
        f"Holm-corrected p < {SIGNIFICANCE}, at least {FEWEST_SEEDS} seeds.",
        *(_why_not_bold(metric, best) for metric, best in leaders.items() if not best.supported),
    )


def _why_not_bold(metric: str, best: Leader) -> str:
    if not best.against and not best.untested:
        return f"No {metric} is bold: there is only one row."
    start = f"No {metric} is bold: {best.label} has the highest mean, but "
    if best.untested:
        return f"{start}shares no training seed with {', '.join(best.untested)}."
    equals = "; ".join(f"{test.second} ({test.describe()})" for test in best.equals)
    return f"{start}is not shown to be ahead of {equals}."
