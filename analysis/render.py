"""One table, five dresses: terminal (rich), plain text, Markdown, CSV, LaTeX (booktabs)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from io import StringIO
from typing import TYPE_CHECKING

from analysis.layout import NOTHING, Column, Entry, Row, Table
from prefix_rft.visible import spreadsheet_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "→": r"$\to$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "·": r"$\cdot$",
    "≈": r"$\approx$",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "…": r"\dots{}",
    "†": r"\textsuperscript{\textdagger}",
    "‡": r"\textsuperscript{\textdaggerdbl}",
}
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")
"""A hyphen that stands for a minus sign."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?( to [+-]?\d+(\.\d+)?)?( \[[a-z]\])?")
"""Text that is a signed number or an interval, which is no formula."""
_LETTERS = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿœŒ"
"""Beyond ASCII, what pdflatex sets in its first font encoding."""


def entry_text(entry: Entry, column: Column) -> str:
    """The number with its half-width and mark, or the reason why there is none."""
    if entry.value is None:
        return entry.reason
    if isinstance(entry.value, str):
        return entry.value
    shown = f"{column.scale * entry.value:.{column.digits}f}"
    if float(shown) == 0:
        below = column.probability and entry.value > 0
        shown = f"<{10.0**-column.digits:.{column.digits}f}" if below else shown.removeprefix("-")
    if entry.half_width is not None:
        shown += f" ± {column.scale * entry.half_width:.{column.digits}f}"
    return shown + entry.mark


def rich_renderable(table: Table) -> RenderableType:
    """For `rich.print`: the table, then its notes."""
    from rich.console import Group
    from rich.text import Text

    from analysis.long_table import LONG, LongTable

    shown: RenderableType
    if len(table.rows) < LONG or any(_rich_style(entry) for row in table.rows for entry in row.entries):
        shown = _rich_table(table, table.rows)
    else:
        cells = [[entry_text(entry, column) for entry, column in _cells(table, row)] for row in table.rows]
        numeric = [column.numeric for column in table.columns]
        shown = LongTable(lambda rows: _rich_table(table, table.rows if rows else ()), cells, numeric)
    return Group(shown, Text(), *(Text(note, style="dim") for note in table.notes))


def _rich_table(table: Table, rows: Sequence[Row]) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable

    shown = RichTable(
        title=table.title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    for column in table.columns:
        shown.add_column(column.title, justify="right" if column.numeric else "left")
    for row in rows:
        shown.add_row(*(_rich_cell(entry, column) for entry, column in _cells(table, row)))
    return shown


def _rich_cell(entry: Entry, column: Column) -> Text:
    from rich.text import Text as RichText

    return RichText(entry_text(entry, column), style=_rich_style(entry))


def _rich_style(entry: Entry) -> str:
    missing = entry.value is None and entry.reason not in ("", NOTHING.reason)
    return "bold" if entry.best else "yellow" if missing else ""


def plain(table: Table) -> str:
    """Aligned text without colour, for logs; a bold number is between asterisks."""
    grid = [[column.title for column in table.columns]]
    grid += [[_starred(entry, column, "*") for entry, column in _cells(table, row)] for row in table.rows]
    widths = [max(len(line[i]) for line in grid) for i in range(len(table.columns))]
    lines = [
        "  ".join(
            _aligned(text, width, column)
            for text, width, column in zip(line, widths, table.columns, strict=True)
        ).rstrip()
        for line in grid
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*([table.title] if table.title else []), *lines, *table.notes]) + "\n"


def _aligned(text: str, width: int, column: Column) -> str:
    return text.rjust(width) if column.numeric else text.ljust(width)


def markdown(table: Table) -> str:
    """A GitHub table, then the notes as paragraphs; no title."""
    header = "| " + " | ".join(markdown_text(column.title) for column in table.columns) + " |"
    rule = "|" + "|".join("---:" if column.numeric else ":---" for column in table.columns) + "|"
    lines = [
        "| "
        + " | ".join(_starred(entry, column, "**", markdown_text) for entry, column in _cells(table, row))
        + " |"
        for row in table.rows
    ]
    notes = "".join(f"\n{markdown_text(note)}\n" for note in table.notes)
    return "\n".join([header, rule, *lines]) + "\n" + notes


def markdown_text(text: str) -> str:
    """Plain text as one line of Markdown, safe in a table."""
    for character in "\\|*_<":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def latex(table: Table, label: str = "") -> str:
    r"""A `table` float with its title as caption, for `\input`; needs booktabs and graphicx.

    A table that is wider than the text is made as narrow as it.

    Args:
        table: what it shows.
        label: for `\ref`; empty gives none.
    """
    kinds = "".join("r" if column.numeric else "l" for column in table.columns)
    header = " & ".join(_latex(column.title) for column in table.columns) + r" \\"
    lines = [
        _safe(" & ".join(_latex_cell(entry, column) for entry, column in _cells(table, row))) + r" \\"
        for row in table.rows
    ]
    notes = [r"\par\smallskip\raggedright\footnotesize", *(_latex(note) + r"\par" for note in table.notes)]
    return "\n".join(
        [
            r"% \usepackage{booktabs,graphicx}",
            r"\begin{table}[tbp]\centering\small",
            *([rf"\caption{{{_latex(table.title)}}}"] if table.title else []),
            *([rf"\label{{{label}}}"] if label else []),
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            header,
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}}",
            *(notes if table.notes else []),
            r"\end{table}",
            "",
        ]
    )


def _safe(line: str) -> str:
    """What a line begins with is no argument of the command that ends the one before."""
    return f"{{}}{line}" if line.startswith(("[", "*")) else line


def _latex(text: str) -> str:
    """Escaped; what pdflatex does not know without further packages stands as its code point."""
    return "".join(map(_latex_character, text))


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    known = " " <= character <= "~" or character in _LETTERS
    return character if known else " " if character.isspace() else f"[U+{ord(character):04X}]"


def _latex_cell(entry: Entry, column: Column) -> str:
    text = _latex(entry_text(entry, column))
    if column.numeric:
        text = _MINUS.sub("$-$", text)
    return rf"\textbf{{{text}}}" if entry.best else text


def comma_separated(table: Table) -> str:
    """One line a row, numbers unrounded and unscaled (shares of 1); notes are left out.

    A column with intervals is followed by `<key>_half_width`, `<key>_interval` and `<key>_best`; where a
    number is missing its field is empty, and the last column, `missing`, says why.
    """
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*(name for column in table.columns for name in _names(column)), "missing"])
    for row in table.rows:
        values = [value for entry, column in _cells(table, row) for value in _values(entry, column)]
        reasons = [entry.reason for entry in row.entries if entry.reason not in ("", NOTHING.reason)]
        writer.writerow([*values, "; ".join(reasons)])
    return buffer.getvalue()


def _names(column: Column) -> Sequence[str]:
    parts = ("half_width", "interval", "best") if column.with_interval else ()
    return (column.key, *(f"{column.key}_{part}" for part in parts))


def _values(entry: Entry, column: Column) -> Sequence[object]:
    if not column.with_interval:
        return (_number(entry.value),)
    best = "" if entry.value is None else str(entry.best).lower()
    return _number(entry.value), _number(entry.half_width), entry.interval, best


def _number(value: float | str | None) -> object:
    """Twelve digits: enough for every use, and free of the last bits' noise; text that no spreadsheet runs."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    return value if value is None or _NUMBER.fullmatch(value) else spreadsheet_text(value)


def _cells(table: Table, row: Row) -> list[tuple[Entry, Column]]:
    return list(zip(row.entries, table.columns, strict=True))


def _starred(entry: Entry, column: Column, star: str, escape: Callable[[str], str] = str) -> str:
    text = escape(entry_text(entry, column))
    return f"{star}{text}{star}" if entry.best else text
