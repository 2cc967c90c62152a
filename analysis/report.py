"""The report folder: one Markdown page, its table in three formats, the data behind it, the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import render
from analysis.cells import Cell
from analysis.design import design_note
from analysis.layout import Column, Entry, Row, Table
from analysis.orderings import findings, findings_table, summary_text
from analysis.over_bases import pooled_table
from analysis.published_table import published_table
from analysis.results import Results, load_results
from analysis.tables import main_table
from prefix_rft.runs.atomic import write_text
from prefix_rft.runs.store import Store


def write_report(
    store: Store,
    folder: Path,
    selection: Sequence[Cell],
    *,
    date: str,
    title: str = "Results",
    split: str = "test",
    protocol: str | None = None,
) -> list[Path]:
    """Write the report of the selected runs; the same runs and date give the same bytes.

    Args:
        store: where the runs are.
        folder: made where it is missing; files of an earlier report in it are replaced.
        selection: runs and their places in the table.
        date: shown on the page.
        title: heading of the page.
        split: which split's evaluations.
        protocol: protocol folder; None takes the one that all evaluated runs have in common.

    Returns:
        Every file written, the page first.

    Raises:
        ProtocolError: the runs were evaluated under different protocols.
        RunError: a run is damaged, or the disk refuses.
    """
    return write_results(
        load_results(store, selection, split=split, folder=protocol), folder, date=date, title=title
    )


def write_results(
    results: Results,
    folder: Path,
    *,
    date: str,
    title: str = "Results",
    reproduces: str = "",
    note: str = "",
) -> list[Path]:
    """As `write_report`, of results that are loaded already.

    Args:
        results: what the page is about.
        folder: made where it is missing; files of an earlier report in it are replaced.
        date: shown on the page.
        title: heading of the page.
        reproduces: the table or figure, and of which paper.
        note: a paragraph of the caller's below the heading.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    drawn, figures = _write_figures(results, folder / "figures")
    table, pooled = main_table(results), pooled_table(results)
    head = [f"# {title}", f"{date}. {_counts(results)}", *_paragraphs(reproduces, note)]
    texts = {
        "report.md": page(results, table, pooled, head=head, captions=drawn),
        **_dressed("table", table),
        **(_dressed("over_base_models", pooled) if pooled else {}),
        "scores.csv": _csv(results.scores),
        "curves.csv": _csv(results.frames.curves),
    }
    for name, text in texts.items():
        write_text(folder / name, text, durable=False)
    return [*(folder / name for name in texts), *figures]


def page(
    results: Results,
    table: Table,
    pooled: Table | None = None,
    *,
    head: Sequence[str],
    captions: Mapping[str, str] | None = None,
) -> str:
    """The report as Markdown.

    Args:
        results: what it is about.
        table: its main table.
        pooled: its table over several base models.
        head: heading and first paragraphs.
        captions: by name of the figures to link to, figures/<name>.png.
    """
    note, published = design_note(results), published_table(results)
    parts = [
        *head,
        "## Scores",
        render.markdown(table),
        *(["## Over the base models", render.markdown(pooled)] if pooled else []),
        *([note] if note else []),
        *_orderings(results),
        *(["## Beside the published numbers", render.markdown(published)] if published else []),
        *_figure_parts(captions or {}),
        "## Runs",
        render.markdown(runs_table(results)),
        "## Provenance",
        provenance_text(results),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


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


def _dressed(name: str, table: Table) -> dict[str, str]:
    return {
        f"{name}.md": render.markdown(table),
        f"{name}.csv": render.comma_separated(table),
        f"{name}.tex": render.latex(table),
    }


def _write_figures(results: Results, folder: Path) -> tuple[dict[str, str], list[Path]]:
    """Captions by name, and the files; figures of an earlier report that are no longer drawn are removed.

    matplotlib takes a second to load, which a page without figures does not need.
    """
    captions, files = {}, []
    if results.evaluations:
        from analysis.drawing import save
        from analysis.figures import pictures

        for picture in pictures(results):
            captions[picture.name] = picture.caption
            files += save(picture.figure, folder, picture.name)
    for stale in {*folder.glob("*.png"), *folder.glob("*.pdf")} - set(files):
        stale.unlink()
    return captions, files


def _paragraphs(reproduces: str, note: str) -> list[str]:
    return [*([f"Reproduces: {reproduces}."] if reproduces else []), *([note] if note else [])]


def _counts(results: Results) -> str:
    done = len(results.evaluations)
    questions = next((len(evaluation.questions) for evaluation in results.evaluations.values()), 0)
    runs = f"{done} of {len(results.runs)} runs evaluated on the {results.split} split"
    return f"{runs}, {questions} questions each." if done else f"{runs}."


def _orderings(results: Results) -> list[str]:
    found = findings(results)
    if not found:
        return []
    metric = results.metrics[0]
    table = render.markdown(findings_table(found, metric))
    return ["## Which published orderings appear", summary_text(found, metric), table]


def _figure_parts(captions: Mapping[str, str]) -> list[str]:
    links = [f"![{name}](figures/{name}.png)\n\n{caption}" for name, caption in captions.items()]
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


def _csv(frame: pd.DataFrame) -> str:
    return str(frame.to_csv(index=False, lineterminator="\n", float_format="%.12g"))
