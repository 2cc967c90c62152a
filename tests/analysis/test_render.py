"""One small table in every dress, compared with files that were read by eye."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from analysis import render
from analysis.layout import NOTHING, Column, Entry, Row, Table

GOLDEN = Path(__file__).parent / "golden"

TABLE = Table(
    title="Scores",
    columns=(
        Column("method", "Method", numeric=False),
        Column("avg@32", "avg@32 (%)", scale=100, with_interval=True),
        Column("se_questions", "SE", scale=100, digits=2),
        Column("response_tokens", "Length (tokens)"),
    ),
    rows=(
        Row((Entry("Base"), Entry(0.0625, 0.0101, "questions", mark="†"), Entry(0.00512), Entry(31.26))),
        Row((Entry("SFT→RFT"), Entry(0.956, 0.0081, "seeds", best=True), Entry(0.00251), Entry(24.0))),
        Row((Entry("a_b|c & 5%"), Entry(reason="failed: OutOfMemory_Error"), NOTHING, NOTHING)),
    ),
    notes=("† one run; p < 0.05 & no more than 10% of {these}.", "Rules: after_marker #."),
)

DRESSES = {
    "table.txt": render.plain,
    "table.md": render.markdown,
    "table.csv": render.comma_separated,
    "table.tex": render.latex,
}


@pytest.mark.parametrize("name", DRESSES)
def test_every_dress_is_the_golden_one(name):
    assert DRESSES[name](TABLE) == (GOLDEN / name).read_text()


def test_terminal_shows_bold_numbers_and_reasons_in_colour():
    console = Console(width=100, force_terminal=True, color_system="standard", record=True)
    console.print(render.rich_renderable(TABLE))
    text = console.export_text(styles=True)
    assert re.search(r"\x1b\[1m *95\.6 ± 0\.8\x1b\[0m", text)
    assert "\x1b[33mfailed: OutOfMemory_Error\x1b[0m" in text
    assert "Rules: after_marker #." in text


def test_csv_keeps_unrounded_shares():
    rows = list(csv.DictReader(StringIO(render.comma_separated(TABLE))))
    assert float(rows[1]["avg@32"]) == 0.956
    assert (rows[2]["avg@32"], rows[2]["missing"]) == ("", "failed: OutOfMemory_Error")
    assert [row["avg@32_interval"] for row in rows] == ["questions", "seeds", ""]
    assert [row["avg@32_best"] for row in rows] == ["false", "true", ""]


def test_latex_knows_every_character_that_it_leaves_as_it_is():
    table = Table(
        "a ≈ b", (Column("x", "β\u202e", numeric=False),), (Row((Entry("\N{MINUS SIGN}1… é\n✓"),)),)
    )
    text = render.latex(table)
    assert "a $\\approx$ b" in text
    assert "[U+03B2][U+202E]" in text
    assert "$-$1\\dots{} é [U+2713]" in text


def test_negative_numbers_have_a_minus_sign_and_words_their_hyphens():
    columns = (Column("x", "x", numeric=False), Column("y", "y", scale=100))
    table = Table(
        "", columns, (Row((Entry("top-20"), Entry(-0.123))), Row((Entry("-1"), Entry("-2.0 to -1.0"))))
    )
    text = render.latex(table)
    assert "top-20 & $-$12.3" in text
    assert "-1 & $-$2.0 to $-$1.0" in text


@pytest.mark.parametrize("label", ["[1,2]", "*all", "\u4e2d\u6587"])
def test_what_a_row_begins_with_is_no_argument_of_the_line_before(label):
    lines = render.latex(Table("", (Column("x", "x", numeric=False),), (Row((Entry(label),)),))).splitlines()
    assert lines[lines.index(r"\midrule") + 1].startswith("{}")


@pytest.mark.slow
def test_latex_compiles(pdflatex, tmp_path):
    odd = replace(TABLE, title="Every character: " + " ".join(map(chr, range(33, 0x180))))
    listed = replace(
        TABLE, rows=tuple(Row((Entry(name), *TABLE.rows[0].entries[1:])) for name in ("[1]", "*a"))
    )
    wide = replace(TABLE, columns=TABLE.columns * 4, rows=tuple(Row(row.entries * 4) for row in TABLE.rows))
    for name, table in {"small": TABLE, "odd": odd, "wide": wide, "listed": listed}.items():
        (tmp_path / f"{name}.tex").write_text(render.latex(table, f"tab:{name}"))
    said = pdflatex(tmp_path, ["small", "odd", "wide", "listed"])
    assert "Overfull" not in said
    assert "Missing character" not in said
