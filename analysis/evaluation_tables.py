"""Tables of evaluations: a model's scores, two models compared, and ours beside published ones."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import StringIO

from analysis.layout import Column, Entry, Row, Table
from analysis.leaderboard import Leaderboard
from analysis.leaderboard_published import Place
from analysis.published_protocols import MEANING
from eval.evaluated import SCIENTIFIC, Evaluated, average_of, same_measure
from eval.intervals import INTERVAL_METHOD
from eval.protocol import ProtocolRecord, line
from eval.results import Scores
from eval.rivals import AVERAGE, Comparison
from eval.scores import Estimate

_SECOND_HAND = " (via a public note)"
_HALF = "± is half of the 95% interval over problems: would the score hold on other problems like these?"


def score_table(evaluations: Sequence[Evaluated], title: str = "") -> Table:
    """One row a model and benchmark, and a row for each model's mean over its benchmarks.

    Raises:
        ProtocolError: they were measured under different protocols; names the differing fields.
    """
    record = same_measure(evaluations)
    columns = (
        Column("subject", "Model", numeric=False),
        Column("benchmark", "Benchmark", numeric=False),
        Column("n", "Problems x n", numeric=False),
        Column("score", "Score (%)", scale=100, with_interval=True),
        Column("se_questions", "SE problems", scale=100, digits=2),
        Column("se_samples", "SE samples", scale=100, digits=2),
        Column("pass", "pass@n", scale=100),
        Column("maj", "maj@n", scale=100),
        Column("format", "Form (%)", scale=100),
        Column("cut", "Cut (%)", scale=100),
        Column("timeouts", "Time-outs", digits=0),
        Column("tokens", "Tokens", digits=0),
    )
    changed = [one.benchmark for one in evaluations if one.changed]
    notes = [
        f"{_HALF} Score is avg@n; SE samples: would a rerun on these problems agree? Form: an answer was found and no "
        "thought left open. Cut: at the longest length.",
        f"Intervals: {INTERVAL_METHOD}.",
        _protocol_line(record),
    ]
    notes += [f"Known departure from the protocol's source: {note}" for note in record.notes]
    unchecked = [one.benchmark for one in evaluations if not one.scores.protocol.data_checked]
    if unchecked:
        listed = ", ".join(dict.fromkeys(unchecked))
        notes.append(f"Problems not compared with published ones, since no hash of these is known: {listed}.")
    if changed:
        notes.append(f"d: {MEANING['d']} ({', '.join(dict.fromkeys(changed))}).")
    return Table(title, columns, tuple(_score_rows(evaluations)), tuple(notes))


def _protocol_line(record: ProtocolRecord) -> str:
    """Without what belongs to one benchmark."""
    shown = line(record).replace(f" ({record.digest}):", ":")
    return shown.replace(f"{record.split}, 0 questions (content ) x 0 samples, ", "")


def _score_rows(evaluations: Sequence[Evaluated]) -> Iterator[Row]:
    for subject in dict.fromkeys(one.scores.subject for one in evaluations):
        own = [one for one in evaluations if one.scores.subject == subject]
        for one in own:
            yield _score_row(one.scores, one.benchmark, one.changed)
            if one.scientific:
                yield _score_row(one.scientific, f"{one.benchmark}, {SCIENTIFIC}", one.changed)
        if len(own) > 1:
            yield _average_row(subject, own)


def _score_row(scores: Scores, name: str, changed: bool) -> Row:
    votes = {vote.k: vote.estimate.value for vote in scores.majority}
    points = {point.k: point.estimate.value for point in scores.curve}
    many = scores.samples > 1
    return Row(
        (
            Entry(scores.subject),
            Entry(name),
            Entry(f"{scores.questions} x {scores.samples}"),
            _entry(scores.headline, "d" if changed else ""),
            _number(scores.headline.se_questions),
            _number(scores.headline.se_samples),
            _number(points.get(scores.samples) if many else None),
            _number(votes.get(scores.samples)),
            _number(scores.format_rate),
            _number(scores.truncated_share),
            _number(float(scores.timeouts)),
            _number(scores.mean_tokens),
        )
    )


def _average_row(subject: str, own: Sequence[Evaluated]) -> Row:
    mean = average_of(own)
    head = (Entry(subject), Entry(f"{AVERAGE} of {len(own)}"), Entry(""), _entry(mean, ""))
    errors = (_number(mean.se_questions), _number(mean.se_samples))
    return Row((*head, *errors, *(Entry(reason="-") for _ in range(6))))


def _entry(estimate: Estimate, mark: str) -> Entry:
    half = (estimate.ci95[1] - estimate.ci95[0]) / 2 if estimate.ci95 else None
    return Entry(estimate.value, half, "questions" if half else "", mark=f" [{mark}]" if mark else "")


def _number(value: float | None) -> Entry:
    return Entry(reason="-") if value is None else Entry(value)


def comparison_table(found: Sequence[Comparison], first: str, second: str, metric: str = "avg") -> Table:
    """First against second on every benchmark and on the average."""
    columns = (
        Column("benchmark", "Benchmark", numeric=False),
        Column("difference", f"{metric} (points)", scale=100),
        Column("low", "from", scale=100),
        Column("high", "to", scale=100),
        Column("p", "p"),
        Column("p_holm", "p (Holm)"),
        Column("signs", "Better / worse / alike", numeric=False),
        Column("p_signs", "p (signs)"),
    )
    seeds = min((one.difference.seeds for one in found), default=1)
    over = (
        "other problems and other training seeds"
        if seeds > 1
        else "other problems; with one training seed, training's own randomness is not in it"
    )
    notes = (
        f"{first} minus {second}. 95% interval by paired bootstrap over problems: over {over} (seeds: {seeds}). "
        f"p (Holm): corrected for the {len(found)} rows. Sign test: on how many problems {first} is better, worse, "
        "or alike.",
    )
    return Table("", columns, tuple(_comparison_row(one) for one in found), notes)


def _comparison_row(one: Comparison) -> Row:
    low, high = one.difference.ci95
    signs = one.signs
    shown = f"{signs.wins} / {signs.losses} / {signs.ties}" if signs else "-"
    numbers = (one.difference.value, low, high)
    p_values = [_p(p) for p in (one.difference.p_value, one.p_holm, signs.p_value if signs else None)]
    return Row((Entry(one.benchmark), *map(Entry, numbers), *p_values[:2], Entry(shown), p_values[2]))


def _p(value: float | None) -> Entry:
    """To three decimals, never as zero."""
    if value is None:
        return Entry(reason="-")
    return Entry("< 0.001" if value < 0.001 else f"{value:.3f}")


def leaderboard_table(board: Leaderboard) -> Table:
    """Ours and published, by falling score; marks after a number say what is not alike, notes what they mean."""
    several = len({shown.model for shown in board.lines if shown.model}) > 1
    head = [
        Column("name", "Method", numeric=False),
        *([Column("model", "Model", numeric=False)] if several else []),
    ]
    columns = (
        *head,
        *(Column(column, column, scale=100) for column in board.columns),
        Column("source", "Source", numeric=False),
    )
    rows = tuple(
        Row(
            (
                Entry(shown.name, best=shown.source == "here"),
                *([Entry(shown.model)] if several else []),
                *(_board_entry(shown.places[column]) for column in board.columns),
                Entry(shown.source.replace(_SECOND_HAND, "*")),
            )
        )
        for shown in board.lines
    )
    return Table("", columns, rows, tuple(_board_notes(board)))


def _board_entry(place: Place) -> Entry:
    half = (place.interval[1] - place.interval[0]) / 2 if place.interval else None
    mark = f" [{','.join(place.marks)}]" if place.marks and place.value is not None else ""
    return Entry(place.value, half, mark=mark, reason=place.reason)


def _board_notes(board: Leaderboard) -> Iterator[str]:
    yield f"{board.metric}, in percent, by falling {board.sorted_by}."
    if not board.records:
        yield "No evaluation of ours: marks of other protocols are left out, since there is nothing to differ from."
    else:
        lines = " ".join(_protocol_line(record) for record in board.records)
        yield f"Ours (bold). {_HALF} {lines}"
    used = {mark for shown in board.lines for place in shown.places.values() for mark in place.marks}
    meant = [f"{mark} {meaning}" for mark, meaning in MEANING.items() if used & {mark, f"{mark}?"}]
    if meant:
        unsaid = "; ? after a letter: the source does not say" if any(m.endswith("?") for m in used) else ""
        yield f"{'Not as in ours' if board.records else 'Marks'}: {'; '.join(meant)}{unsaid}."
    if any(_SECOND_HAND in shown.source for shown in board.lines):
        yield "* read in a public note about the paper, not in the paper."
    yield (
        "Sources may quote each other's numbers; each stands as published (analysis/published_results.csv), marked by "
        "how the source that shows it measures."
    )
    if board.elsewhere:
        yield f"Left out: evaluations on other questions ({', '.join(board.elsewhere)})."


def leaderboard_csv(board: Leaderboard) -> str:
    """One line a cell: numbers in percent as published, ours unrounded; marks and reasons in columns of their own."""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        [
            "name",
            "model",
            "source",
            "column",
            "metric",
            "score",
            "ci95_low",
            "ci95_high",
            "differs",
            "missing",
        ]
    )
    for shown in board.lines:
        for column, place in shown.places.items():
            low, high = place.interval or (None, None)
            numbers = [None if x is None else float(f"{100 * x:.12g}") for x in (place.value, low, high)]
            marks = ",".join(place.marks)
            writer.writerow(
                [shown.name, shown.model, shown.source, column, place.metric, *numbers, marks, place.reason]
            )
    return buffer.getvalue()
