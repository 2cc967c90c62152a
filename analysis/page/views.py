"""Tables as the template wants them: text, the number to sort by, and where a cell leads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis import render
from analysis.cells import Cell
from analysis.layout import NOTHING, Column, Entry, Table
from analysis.outcome import outcome
from analysis.page.runs import Run
from analysis.page.sheet import Sheet
from analysis.page.text import cut
from analysis.results import Results
from analysis.status import short_duration

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_LONGEST_REASON = 60


@dataclass(frozen=True)
class CellView:
    """One cell of a table."""

    text: str
    order: str = ""
    """The number to sort by; empty sorts last."""
    best: bool = False
    missing: bool = False
    """Whether it says why there is no number."""
    run: str = ""
    """Id of the run that it leads to."""
    link: str = ""
    """A place on the page that it leads to."""
    state: str = ""
    """Where a run stands, in one word."""


@dataclass(frozen=True)
class TableView:
    """One table of the page; the first cell of a row names it."""

    key: str
    caption: str
    columns: tuple[tuple[str, bool], ...]
    """Title, and whether it is numeric."""
    rows: tuple[tuple[CellView, ...], ...]
    notes: tuple[str, ...] = ()
    files: tuple[tuple[str, str, str], ...] = ()
    """Name, file name and content of what can be taken along."""


def of_table(key: str, table: Table, file: str) -> TableView:
    """A table of the report.

    Args:
        key: unique on the page.
        table: what it shows; its title is the caption.
        file: name of its files without ending.
    """
    rows = (
        tuple(_cell(entry, column) for entry, column in zip(row.entries, table.columns, strict=True))
        for row in table.rows
    )
    columns = tuple((column.title, column.numeric) for column in table.columns)
    return TableView(key, table.title, columns, tuple(rows), table.notes, _files(table, file))


def cells_table(sheet: Sheet) -> TableView:
    """Every cell of a sweep by row and training seed: its score, or where its run stands."""
    results = sheet.results
    seeds = sorted({cell.seed for cell in results.cells if cell.seed is not None})
    titles = [("Row", False), *((f"seed {seed}", True) for seed in seeds)]
    if any(cell.seed is None for cell in results.cells):
        titles.append(("no seed", True))
    places = {(cell.label, cell.seed): cell for cell in results.cells}
    columns: list[int | None] = [*seeds, *([None] if len(titles) > len(seeds) + 1 else [])]
    rows = (
        (CellView(label), *(_run_cell(results, places.get((label, seed))) for seed in columns))
        for label in results.labels
    )
    metric = f"{results.metrics[0]} (%)" if results.metrics else "where it stands"
    caption = f"Every run of the table: {metric}, or why there is no score. A cell opens its run."
    return TableView(f"{sheet.name}-cells", caption, tuple(titles), tuple(rows))


def runs_table(runs: Sequence[Run], several: bool) -> TableView:
    """All runs of the page.

    Args:
        runs: in the order of the page.
        several: whether they belong to several sweeps.
    """
    columns = [
        ("Run", False),
        *([("Sweep", False)] if several else []),
        ("Row", False),
        ("Seed", True),
        ("Stands", False),
        ("Score (%)", True),
        ("Measure", False),
        ("Length (tokens)", True),
        ("Work", True),
        ("Commit", False),
    ]
    rows = tuple(tuple(_run_row(run, several)) for run in runs)
    return TableView("all-runs", "Every run of this page.", tuple(columns), rows)


def overview_table(sheets: Sequence[Sheet]) -> TableView:
    """Every sweep in a line."""
    columns = (
        ("Sweep", False),
        ("Outcome", False),
        ("Evaluated", True),
        ("Work", True),
        ("Reproduces", False),
    )
    rows = tuple(_overview_row(sheet) for sheet in sheets)
    return TableView("overview", "Every sweep and what came out of it.", columns, rows)


def state_word(standing: str) -> str:
    """The one word that a state is coloured by: done, running, lost, queued, failed, unreadable, not."""
    return standing.replace(":", " ").split()[0]


def _overview_row(sheet: Sheet) -> tuple[CellView, ...]:
    results = sheet.results
    evaluated, seconds = len(results.evaluations), sum(results.seconds.values())
    return (
        CellView(sheet.title, link=sheet.name),
        CellView(outcome(results)),
        CellView(f"{evaluated}/{len(results.runs)}", str(evaluated)),
        CellView(short_duration(seconds), f"{seconds:g}"),
        CellView(sheet.reproduces),
    )


def _cell(entry: Entry, column: Column) -> CellView:
    return CellView(
        render.entry_text(entry, column),
        order=_order(entry) if column.numeric else "",
        best=entry.best,
        missing=entry.value is None and entry.reason not in ("", NOTHING.reason),
    )


def _order(entry: Entry) -> str:
    if isinstance(entry.value, str):
        found = _NUMBER.search(entry.value)
        return found.group() if found else ""
    return "" if entry.value is None else f"{entry.value:.12g}"


def _files(table: Table, name: str) -> tuple[tuple[str, str, str], ...]:
    return (
        ("CSV", f"{name}.csv", render.comma_separated(table)),
        ("LaTeX", f"{name}.tex", render.latex(table)),
        ("Markdown", f"{name}.md", render.markdown(table)),
    )


def _run_cell(results: Results, cell: Cell | None) -> CellView:
    if cell is None:
        return CellView("")
    score, state = _score(results, cell.run_id), state_word(results.standing[cell.run_id])
    if score is None:
        return CellView(cut(results.reason(cell), _LONGEST_REASON), "", run=cell.run_id, state=state)
    return CellView(f"{100 * score:.1f}", f"{score:.12g}", run=cell.run_id, state=state)


def _score(results: Results, run_id: str) -> float | None:
    done = results.evaluations.get(run_id)
    return None if done is None else done.mean(results.metrics[0])


def _run_row(run: Run, several: bool) -> Iterable[CellView]:
    results, record, cell = run.places[0].sheet.results, run.record, run.cell
    score, done = _score(results, run.id), results.evaluations.get(run.id)
    more = len(run.places) - 1
    also = f" (and {more} more)" if more else ""
    yield CellView(run.id, run=run.id)
    if several:
        yield CellView(run.places[0].sheet.title)
    yield CellView(cell.label + also)
    yield CellView("" if cell.seed is None else str(cell.seed), "" if cell.seed is None else str(cell.seed))
    yield CellView(record.standing, state=state_word(record.standing))
    yield CellView("" if score is None else f"{100 * score:.1f}", "" if score is None else f"{score:.12g}")
    yield CellView(results.metrics[0] if score is not None else "")
    length = "" if done is None else f"{done.mean_tokens:.1f}"
    yield CellView(length, length)
    yield CellView(short_duration(record.seconds) if record.seconds else "", f"{record.seconds:g}")
    yield CellView(_commit(run))


def _commit(run: Run) -> str:
    source = run.record.provenance.get("source") or {}
    changed = "+" if source.get("dirty") else ""
    return f"{str(source['commit'])[:12]}{changed}" if source.get("commit") else ""
