"""Figures as files: three formats, the same bytes every time, any text."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest

from analysis.figure_curves import learning_curves
from analysis.figure_files import KINDS, drawn, save
from analysis.figure_scores import COLUMNS, final_scores

DRAW = """
import hashlib
import pandas as pd
from analysis.figure_files import KINDS, drawn
from analysis.figure_scores import COLUMNS, final_scores
rows = [(f"SFT→RFT {name}", "avg@4", 50.0, 4.0, False, (46.0, 54.0)) for name in "abc"]
figure = final_scores(pd.DataFrame(rows, columns=list(COLUMNS)))
print(*(hashlib.sha256(drawn(figure, kind, "x")).hexdigest() for kind in KINDS))
"""


def scores(*names: str) -> pd.DataFrame:
    rows = [(name, "avg@4", 50.0, 4.0, False, (46.0, 54.0)) for name in names]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def curves(name: str) -> pd.DataFrame:
    rows = [(name, "r", step, 0.1 * step, 0.5) for step in (1, 2)]
    return pd.DataFrame(rows, columns=["label", "run_id", "step", "reward", "validation/accuracy"])


def test_three_files_stand_under_the_figures_name(tmp_path):
    written = save(final_scores(scores("a")), tmp_path, "scores")
    assert [path.name for path in written] == ["scores.png", "scores.pdf", "scores.svg"]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert [path.read_bytes()[:5] for path in written] == [b"\x89PNG\r", b"%PDF-", b"<?xml"]


def test_the_same_figure_gives_the_same_bytes_drawn_twice_or_made_twice():
    figure, again = final_scores(scores("a", "b")), final_scores(scores("a", "b"))
    for kind in KINDS:
        first = drawn(figure, kind, "x")
        assert drawn(figure, kind, "x") == first
        assert drawn(again, kind, "x") == first


def test_other_processes_with_other_hashes_give_the_same_bytes():
    found = {
        subprocess.run(
            [sys.executable, "-c", DRAW],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "7")
    }
    rows = ("SFT→RFT a", "SFT→RFT b", "SFT→RFT c")
    figure = final_scores(scores(*rows))
    assert found == {" ".join(hashlib.sha256(drawn(figure, kind, "x")).hexdigest() for kind in KINDS) + "\n"}


def test_no_format_holds_a_date_or_a_version():
    figure = final_scores(scores("a"))
    for kind in KINDS:
        text = drawn(figure, kind, "x").decode("latin-1")
        assert not re.search(r"20\d\d-\d\d|CreationDate|Matplotlib v|matplotlib\.org", text)


@pytest.mark.parametrize("name", ["$x$", "50% of $n_{0}", r"\frac{", "a_b^c", "naïve ≈ 1 → 2", "✓ done"])
def test_any_label_is_drawn_as_it_is(name):
    for figure in (learning_curves(curves(name)), final_scores(scores(name))):
        assert all(drawn(figure, kind, "x") for kind in KINDS)
        shown = [text.get_text() for axes in figure.axes for text in (*axes.texts, *axes.get_yticklabels())]
        assert name in shown


def test_labels_stay_text_when_drawn_without_our_settings():
    figure = final_scores(scores("$\\nonsense{$"))
    figure.canvas.draw()


def test_svg_is_well_formed_small_and_needs_no_font():
    svg = drawn(learning_curves(curves("a")), "svg", "x")
    ElementTree.fromstring(svg)
    assert len(svg) < 60_000
    assert b"font-family" not in svg
    assert not re.search(rb' d="[^"]*\d\.\d{3}', svg)


@pytest.mark.parametrize(
    "name", ["plain", "Prefix-RFT, efficient flow", "SFT→RFT ± ≈", "✓ beyond the quick copy"]
)
def test_pdf_embeds_the_glyphs_that_it_shows(name):
    """The quick copy of the font gives the glyphs that the whole font gives."""
    from analysis import figure_files

    figure = final_scores(scores(name))
    quick = drawn(figure, "pdf", "x")
    kept, figure_files._KEPT = figure_files._KEPT, frozenset()
    try:
        whole = drawn(figure, "pdf", "x")
    finally:
        figure_files._KEPT = kept
    assert widths(quick), "the font has widths"
    assert widths(quick) == widths(whole)
    assert b"/FontFile2" in quick
    assert b"/Type3" not in quick


def test_fonts_are_embedded_in_silence(caplog):
    from analysis import figure_files

    figure_files._copy.cache_clear()
    drawn(final_scores(scores("a")), "pdf", "x")
    assert caplog.records == []


def widths(pdf: bytes) -> list[bytes]:
    return re.findall(rb"\[\s(?:\d+\s\[[^\]]*\]\s?)+\]", pdf)
