"""The report folder: one Markdown page, its table in three formats, the data behind it, the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import render
from analysis.cells import Cell
from analysis.design import design_note
from analysis.layout import NOTHING, Column, Entry, Row, Table
from analysis.orderings import findings, findings_table, summary_text
from analysis.published import LABEL, PAPER, PUBLISHED, RE_EVALUATION, average
from analysis.results import Results, load_results
from analysis.style import NAMES
from analysis.summary import of_metric
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


def write_results(results: Results, folder: Path, *, date: str, title: str = "Results") -> list[Path]:
    """As `write_report`, of results that are loaded already."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    figures = _write_figures(results, folder / "figures")
    table = main_table(results)
    texts = {
        "report.md": page(results, table, title=title, date=date, figures=figures),
        "table.md": render.markdown(table),
        "table.csv": render.comma_separated(table),
        "table.tex": render.latex(table),
        "scores.csv": _csv(results.scores),
        "curves.csv": _csv(results.frames.curves),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [*(folder / name for name in texts), *figures]


def page(results: Results, table: Table, *, title: str, date: str, figures: Sequence[Path] = ()) -> str:
    """The report as Markdown; links to the PNG files among `figures` as figures/<name>."""
    note = design_note(results)
    parts = [
        f"# {title}",
        f"{date}. {_counts(results)}",
        "## Scores",
        render.markdown(table),
        *([note] if note else []),
        *_orderings(results),
        "## Beside the published numbers",
        render.markdown(published_table(results)),
        *_figure_parts(figures),
        "## Runs",
        render.markdown(runs_table(results)),
        "## Provenance",
        provenance_text(results),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def published_table(results: Results) -> Table:
    """The methods' first score here beside their published averages."""
    columns = (
        Column("method", "Method", numeric=False),
        Column("here", f"Here, {results.metrics[0]} (%)" if results.metrics else "Here", scale=100),
        Column("paper", PAPER),
        Column("re_evaluation", RE_EVALUATION),
    )
    rows = tuple(Row(_published_entries(results, method)) for method in NAMES)
    notes = (
        f"Right of our column: {LABEL}. Another model, data and benchmarks: compare the order of a column "
        "with that of another, never the level.",
        *(
            f"{NAMES[row.method]} in {row.source}: {row.average} is {row.note}."
            for row in PUBLISHED
            if row.note
        ),
    )
    return Table("", columns, rows, notes)


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


def _write_figures(results: Results, folder: Path) -> list[Path]:
    """No figure without data; matplotlib takes a second to load, which the page alone does not need."""
    if not results.evaluations:
        return []
    from analysis import figures

    curves = figures.save(figures.learning_curves(results), folder, CURVES)
    return [*curves, *figures.save(figures.final_scores(results), folder, SCORES)]


def _counts(results: Results) -> str:
    done = len(results.evaluations)
    questions = next((len(evaluation.questions) for evaluation in results.evaluations.values()), 0)
    runs = f"{done} of {len(results.cells)} runs evaluated on the {results.split} split"
    return f"{runs}, {questions} questions each." if done else f"{runs}."


def _orderings(results: Results) -> list[str]:
    found = findings(results)
    if not found:
        return []
    metric = results.metrics[0]
    table = render.markdown(findings_table(found, metric))
    return ["## Which published orderings appear", summary_text(found, metric), table]


CURVES, SCORES = "learning_curves", "scores"
_CAPTIONS = {
    CURVES: (
        "Mean over training seeds; the band spans the least and the greatest seed. Curves are trailing "
        "means over a twentieth of their points. A level line is the last validation accuracy of a row that "
        "trains without rollouts."
    ),
    SCORES: (
        "Mean over training seeds with its 95% t-interval over seeds (†: a single run, over questions); "
        "band: interval, stroke: mean, dots: single seeds."
    ),
}


def _figure_parts(figures: Sequence[Path]) -> list[str]:
    shown = [path for path in figures if path.suffix == ".png"]
    links = [f"![{path.stem}](figures/{path.name})\n\n{_CAPTIONS[path.stem]}" for path in shown]
    return ["## Figures", *links] if shown else []


def _published_entries(results: Results, method: str) -> tuple[Entry, ...]:
    done = [label for label in results.labels if results.method(label) == method and results.evaluated(label)]
    here = of_metric(results.evaluated(done[0]), results.metrics[0]).mean if len(done) == 1 else None
    published = (Entry(average(method, source), reason=NOTHING.reason) for source in (PAPER, RE_EVALUATION))
    return (Entry(NAMES[method]), Entry(here, reason=NOTHING.reason), *published)


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
