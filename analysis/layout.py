"""What a table is before it is dressed: columns, rows of entries, notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ONE_RUN = "†"
"""Stands after a number of a single run, whose interval is over questions and not over training seeds."""


@dataclass(frozen=True)
class Column:
    """How the entries of one column are shown."""

    key: str
    title: str
    numeric: bool = True
    scale: float = 1.0
    """Factor of the shown number: 100 shows shares as percent."""
    digits: int = 1
    with_interval: bool = False
    """Whether entries can carry a half-width and be in bold."""
    probability: bool = False
    """Whether a positive number is never shown as 0 but as below the smallest that the digits can say."""


@dataclass(frozen=True)
class Entry:
    """One number with its uncertainty, one text, or the reason why there is none."""

    value: float | str | None = None
    half_width: float | None = None
    """Half of the 95% interval, on the scale of `value`."""
    interval: str = ""
    """What the interval is over: seeds or questions."""
    best: bool = False
    reason: str = ""
    """Why there is no number, or what is missing from it."""
    mark: str = ""
    """A sign after the number that the notes explain."""


NOTHING = Entry(reason="-")
"""Where there is no number and another entry of the row says why."""


@dataclass(frozen=True)
class Row:
    """One line; an entry for every column."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Table:
    """Ready for `analysis.render`."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """For Jupyter."""
        from analysis.notebook_tables import html

        return html(self)

    def _repr_markdown_(self) -> str:
        """For what shows notebooks without HTML."""
        from analysis.render import markdown

        return markdown(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For IPython on a terminal, and as the plain text of an executed notebook."""
        from analysis.render import plain

        printer.text(plain(self))
