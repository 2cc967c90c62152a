"""A table inside a notebook: whole, escaped, readable without its HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.layout import NOTHING, Column, Entry, Row, Table
from analysis.notebook_tables import html
from analysis.render import plain

COLUMNS = (Column("a", "A", numeric=False), Column("b", "B (%)", scale=100, with_interval=True))
TABLE = Table(
    "Scores",
    COLUMNS,
    (
        Row((Entry("one"), Entry(0.5, 0.1, best=True))),
        Row((Entry("two"), Entry(reason="failed"))),
        Row((Entry("three"), NOTHING)),
    ),
    ("A note.",),
)


def test_best_is_bold_what_is_missing_is_slanted_and_numbers_stand_right():
    shown = html(TABLE)
    assert "<strong>50.0 ± 10.0</strong>" in shown
    assert "<em>failed</em>" in shown
    assert "<em>-</em>" not in shown
    assert shown.count("text-align: right") == 4
    assert shown.index("Scores") < shown.index("<table>") < shown.index("A note.")


def test_jupyter_gets_html_markdown_and_plain_text():
    assert TABLE._repr_html_() == html(TABLE)
    assert "| one | **50.0 ± 10.0** |" in TABLE._repr_markdown_()
    pretty = pytest.importorskip("IPython.lib.pretty").pretty
    assert pretty(TABLE) == plain(TABLE)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += [tag, *(name for name, _ in attrs)]


@given(
    st.text(max_size=20), st.sampled_from(["<script>x</script>", '"><img src=x onerror=y>', "&lt;", "\u202e"])
)
def test_no_text_is_markup(before, text):
    said = before + text
    table = Table(
        said, (Column("a", said, numeric=False),), (Row((Entry(said),)), Row((Entry(reason=said),))), (said,)
    )
    found = Tags()
    found.feed(html(table))
    assert set(found.tags) <= {
        "p",
        "strong",
        "em",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "style",
    }
    assert "\u202e" not in html(table)
