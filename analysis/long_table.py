"""A table of thousands of rows on a terminal: what rich prints of it, in a twentieth of the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import starmap

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table as RichTable

LONG = 200
"""Rows from which on it is worth it."""
_GAP = "  "


@dataclass(frozen=True)
class LongTable:
    """Rows of plain text under a table's head; on a terminal too narrow for them rich breaks the lines."""

    table: Callable[[bool], RichTable]
    """The table for rich: with all rows, or with its head alone."""
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool]
    """By column: whether its cells stand on the right."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        head = self.table(False)
        titles = [str(column.header) for column in head.columns]
        widths = [max(map(cell_len, cells)) for cells in zip(titles, *self.rows, strict=True)]
        broken = any("\n" in text for row in self.rows for text in row)
        if broken or sum(widths) + len(_GAP) * (len(widths) - 1) > options.max_width:
            yield self.table(True)
            return
        for column, width in zip(head.columns, widths, strict=True):
            column.width = width
        yield head
        for row in self.rows:
            cells = starmap(_padded, zip(row, widths, self.numeric, strict=True))
            yield Segment(f"{_GAP.join(cells)}\n")


def _padded(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks
