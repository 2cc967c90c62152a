"""Long tables are printed as rich prints them, without asking rich to lay out every cell."""

from __future__ import annotations

from io import StringIO
from unittest import mock

import pytest
from rich.console import Console
from rich.text import Text

from analysis import long_table, render
from analysis.layout import Column, Entry, Row, Table

COLUMNS = (Column("id", "id", numeric=False), Column("seed", "seed"), Column("why", "why so", numeric=False))


def table(rows: int, **last: bool) -> Table:
    made = [
        Row((Entry(f"run {row}é→"[: row % 9]), Entry(row / 7), Entry("[b]日本[/b]" * (row % 3))))
        for row in range(rows - 1)
    ]
    return Table(
        "a title", COLUMNS, (*made, Row((Entry("last"), Entry(1.0, **last), Entry("")))), ("a note",)
    )


def printed(shown: Table, width: int = 80) -> str:
    text = StringIO()
    Console(file=text, width=width).print(render.rich_renderable(shown))
    return text.getvalue()


@pytest.mark.parametrize("width", [20, 80])
def test_it_is_what_rich_prints(width: int) -> None:
    long = printed(table(30), width)
    with mock.patch.object(long_table, "LONG", 10):
        assert printed(table(30), width) == long


def test_rich_lays_out_the_head_alone() -> None:
    with mock.patch.object(Text, "wrap", autospec=True, side_effect=Text.wrap) as wrapped:
        printed(table(long_table.LONG))
        few = wrapped.call_count
        printed(table(2 * long_table.LONG))
    assert wrapped.call_count == 2 * few < 40


def test_what_is_bold_is_rich_s() -> None:
    with mock.patch.object(long_table, "LONG", 10):
        shown = render.rich_renderable(table(30, best=True))
    assert not any(isinstance(part, long_table.LongTable) for part in shown.renderables)  # type: ignore[union-attr]
