"""A table as Jupyter shows it: HTML without classes or scripts, every text escaped, notes below."""

from __future__ import annotations

from html import escape

from analysis.layout import NOTHING, Column, Entry, Table
from analysis.page.text import visible
from analysis.render import entry_text

_SIDE = {True: "right", False: "left"}
_NOTE = "max-width: 60em; font-size: 85%; margin: 0.3em 0"


def html(table: Table) -> str:
    """The title, the table in a box that scrolls sideways, the notes.

    Styles stand in each element: a notebook that is opened elsewhere keeps no sheet of ours.
    """
    head = "".join(_cell("th", column.title, column) for column in table.columns)
    lines = "".join("<tr>" + "".join(map(_entry, row.entries, table.columns)) + "</tr>" for row in table.rows)
    title = f"<p><strong>{_text(table.title)}</strong></p>" if table.title else ""
    notes = "".join(f'<p style="{_NOTE}">{_text(note)}</p>' for note in table.notes)
    grid = f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
    return f'{title}<div style="overflow-x: auto">{grid}</div>{notes}'


def _entry(entry: Entry, column: Column) -> str:
    missing = entry.value is None and entry.reason not in ("", NOTHING.reason)
    return _cell("td", entry_text(entry, column), column, "strong" if entry.best else "em" if missing else "")


def _cell(tag: str, text: str, column: Column, inside: str = "") -> str:
    shown = f"<{inside}>{_text(text)}</{inside}>" if inside else _text(text)
    break_ = "nowrap" if column.numeric else "normal"
    return f'<{tag} style="text-align: {_SIDE[column.numeric]}; white-space: {break_}">{shown}</{tag}>'


def _text(text: str) -> str:
    return escape(visible(text))
