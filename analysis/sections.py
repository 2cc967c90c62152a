"""What a report says of a sweep, part by part; the Markdown page and the HTML page both say all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from analysis.design import design_note
from analysis.layout import Table
from analysis.orderings import findings, findings_table, summary_text
from analysis.over_bases import pooled_table
from analysis.published_table import published_table
from analysis.results import Results
from analysis.tables import main_table


@dataclass(frozen=True)
class Section:
    """One part of a report: a heading, text, a table."""

    key: str
    """Names its place on the page and its files: <key>.md, .csv and .tex."""
    title: str
    table: Table
    text: str = ""
    """Before the table."""
    after: str = ""
    """After the table's notes."""


def sections(results: Results, heading: str, date: str) -> tuple[Section, ...]:
    """Every part that these results give, in the order of the page.

    Args:
        results: what they are about.
        heading: of the report, said in every caption.
        date: likewise.
    """
    return tuple(_captioned(part, results, heading, date) for part in _sections(results))


def _captioned(part: Section, results: Results, heading: str, date: str) -> Section:
    """What the table is, when it was made and at which commits; its protocol stands among its notes."""
    commits = {
        str(source["commit"])[:12]
        for record in results.provenance.values()
        if (source := record.get("source")) and source["commit"]
    }
    code = f"; code at {', '.join(sorted(commits))}" if commits else ""
    caption = f"{heading}: {part.title[0].lower()}{part.title[1:]} ({date}{code})."
    return replace(part, table=replace(part.table, title=caption))


def _sections(results: Results) -> Iterator[Section]:
    pooled, note = pooled_table(results), design_note(results) or ""
    yield Section("table", "Scores", main_table(results), after="" if pooled else note)
    if pooled is not None:
        yield Section("over_base_models", "Over the base models", pooled, after=note)
    found = findings(results)
    if found:
        metric = results.metrics[0]
        table, text = findings_table(found, metric), summary_text(found, metric)
        yield Section("orderings", "Which published orderings appear", table, text)
    published = published_table(results)
    if published is not None:
        yield Section("published", "Beside the published numbers", published)
