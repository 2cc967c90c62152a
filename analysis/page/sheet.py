"""One sweep as the page shows it: tables, figures, and how to run each of its cells again."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from analysis.results import Results
from analysis.sections import Section


@dataclass(frozen=True)
class Embedded:
    """A figure inside the page."""

    name: str
    caption: str
    uri: str
    """The whole picture."""


@dataclass(frozen=True)
class Commands:
    """Command lines that repeat a sweep and its cells."""

    sweep: str = ""
    """Of all cells; empty for a choice of runs of one's own."""
    runs: Mapping[str, str] = field(default_factory=dict)
    """By run id."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """One sweep's part of the page."""

    name: str
    """Of the sweep; unique on a page."""
    title: str
    reproduces: str
    """The table or figure, and of which paper; may be empty."""
    note: str
    """A paragraph below the heading; may be empty."""
    results: Results
    sections: tuple[Section, ...]
    pictures: tuple[Embedded, ...] = ()
    commands: Commands = Commands()


def data_uri(kind: str, content: bytes) -> str:
    """Content as an address that holds all of it."""
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"
