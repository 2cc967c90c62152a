"""The report folder: a Markdown page, an HTML page, tables in three formats, the data behind them, the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import render
from analysis.cells import Cell
from analysis.figure_folders import KINDS, NONE_BEGUN, Drawings
from analysis.layout import Column, Entry, Row, Table
from analysis.page.pictures import embedded
from analysis.page.sheet import Commands, Embedded, Sheet
from analysis.page.write import write_page
from analysis.reading import Parts
from analysis.results import Results, load_results
from analysis.sections import Section, sections
from prefix_rft.runs.atomic import refused, temporary_beside, write_text
from prefix_rft.runs.store import Store

FIGURES = "figures"
"""Folder of the figures in a report."""
_ROWS_AT_A_TIME = 20_000


def write_report(
    store: Store,
    folder: Path,
    selection: Sequence[Cell],
    *,
    date: str,
    title: str = "Results",
    parts: Parts | None = None,
) -> list[Path]:
    """Write the report of the selected runs; the same runs and date give the same bytes.

    Args:
        store: where the runs are.
        folder: made where it is missing; files of an earlier report in it are replaced.
        selection: runs and their places in the table.
        date: shown on the pages.
        title: heading of the pages.
        parts: what the runs are measured on, as `load_results` takes it.

    Returns:
        Every file written, the Markdown page first, the HTML page last.

    Raises:
        ProtocolError: the runs were evaluated under different protocols.
        RunError: a run is damaged, or the disk refuses.
    """
    results = load_results(store, selection, parts=parts)
    written = write_results(results, folder, date=date, title=title)
    return [*written.files, write_page(folder, [written.sheet], store, title=title, date=date)]


@dataclass(frozen=True)
class Written:
    """A report folder, and what the HTML page shows of it."""

    files: tuple[Path, ...]
    """The Markdown page first."""
    sheet: Sheet


def write_results(
    results: Results,
    folder: Path,
    *,
    date: str,
    title: str = "Results",
    reproduces: str = "",
    note: str = "",
    commands: Commands | None = None,
    drawings: Drawings = NONE_BEGUN,
) -> Written:
    """As `write_report`, of results that are loaded already, and without the HTML page.

    Args:
        results: what the report is about.
        folder: made where it is missing; files of an earlier report in it are replaced.
        date: shown on the pages.
        title: heading of the Markdown page.
        reproduces: the table or figure, and of which paper.
        note: a paragraph of the caller's below the heading.
        commands: how to run it again.
        drawings: figures that are being drawn already.
    """
    figures = folder / FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    parts = sections(results, title, date)
    drawn = drawings.of(results, figures)
    pictures = tuple(embedded(one, figures) for one in drawn)
    head = [f"# {title}", f"{date}. {_counts(results)}", *_paragraphs(reproduces, note)]
    texts = {
        "report.md": page(results, parts, head=head, pictures=pictures),
        **{name: text for part in parts for name, text in _dressed(part, results.sweep).items()},
    }
    for name, text in texts.items():
        write_text(folder / name, text, durable=False)
    data = {"scores.csv": results.scores, "curves.csv": results.frames.curves}
    for name, frame in data.items():
        _write_csv(folder / name, frame)
    sheet = Sheet(
        name=results.sweep or "results",
        title=title,
        reproduces=reproduces,
        note=note,
        results=results,
        sections=parts,
        pictures=pictures,
        commands=commands or Commands(),
    )
    files = (figures / f"{one.name}.{kind}" for one in drawn for kind in KINDS)
    return Written((*(folder / name for name in (*texts, *data)), *files), sheet)


def page(
    results: Results, parts: Sequence[Section], *, head: Sequence[str], pictures: Sequence[Embedded] = ()
) -> str:
    """The report as Markdown.

    Args:
        results: what it is about.
        parts: its tables.
        head: heading and first paragraphs.
        pictures: the figures to link to, figures/<name>.png.
    """
    blocks = [
        *head,
        *(block for part in parts for block in _blocks(part)),
        *_figure_parts(pictures),
        "## Runs",
        render.markdown(runs_table(results)),
        "## Provenance",
        provenance_text(results),
    ]
    return "\n\n".join(block.rstrip() for block in blocks) + "\n"


def runs_table(results: Results) -> Table:
    """Every selected run and where it stands."""
    columns = (
        Column("label", "Row", numeric=False),
        Column("seed", "Seed"),
        Column("run_id", "Run", numeric=False),
        Column("standing", "Stands", numeric=False),
        Column("commit", "Commit", numeric=False),
    )
    return Table("", columns, tuple(Row(_run_entries(results, cell)) for cell in results.cells))


def provenance_text(results: Results) -> str:
    """Which code made the runs; several commits, or uncommitted changes, are said aloud."""
    commits: dict[str, int] = {}
    for record in results.provenance.values():
        commits[_commit(record)] = commits.get(_commit(record), 0) + 1
    if not commits:
        return "No run has recorded where it came from."
    listed = "; ".join(
        f"{count} runs at {commit}" if count > 1 else f"1 run at {commit}"
        for commit, count in commits.items()
    )
    return f"Code: {listed}."


def _dressed(part: Section, sweep: str) -> dict[str, str]:
    caption = render.markdown_text(part.table.title)
    return {
        f"{part.key}.md": f"{caption}\n\n{render.markdown(part.table)}",
        f"{part.key}.csv": render.comma_separated(part.table),
        f"{part.key}.tex": render.latex(part.table, f"tab:{'-'.join(filter(None, (sweep, part.key)))}"),
    }


def _blocks(part: Section) -> list[str]:
    texts = (f"## {part.title}", part.text, render.markdown(part.table), part.after)
    return [text for text in texts if text]


def _paragraphs(reproduces: str, note: str) -> list[str]:
    return [*([f"Reproduces: {reproduces}."] if reproduces else []), *([note] if note else [])]


def _counts(results: Results) -> str:
    done = len(results.evaluations)
    runs = f"{done} of {len(results.runs)} runs evaluated on {results.measured_on}"
    return f"{runs}, {results.questions} questions each." if done else f"{runs}."


def _figure_parts(pictures: Sequence[Embedded]) -> list[str]:
    links = [f"![{shown.name}](figures/{shown.name}.png)\n\n{shown.caption}" for shown in pictures]
    return ["## Figures", *links] if links else []


def _run_entries(results: Results, cell: Cell) -> tuple[Entry, ...]:
    seed = "" if cell.seed is None else str(cell.seed)
    commit = _commit(results.provenance.get(cell.run_id, {}))
    return tuple(
        Entry(text) for text in (cell.label, seed, cell.run_id, results.standing[cell.run_id], commit)
    )


def _commit(record: Mapping[str, Any]) -> str:
    """Twelve digits of the commit, and whether files differed from it; or why it is not known."""
    source = record.get("source")
    if source is None:
        return "not recorded"
    if source["commit"] is None:
        return f"unknown commit ({source['reason']})"
    return str(source["commit"])[:12] + (" with uncommitted changes" if source["dirty"] else "")


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Whole or not at all, some rows at a time: the curves of ten thousand runs are no text for the memory."""
    temporary = temporary_beside(path)
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            frame.to_csv(
                file, index=False, lineterminator="\n", float_format="%.12g", chunksize=_ROWS_AT_A_TIME
            )
        temporary.replace(path)
    except OSError as error:
        raise refused(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
