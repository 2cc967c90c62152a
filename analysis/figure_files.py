"""Figures as files: pixels for pages, PDF for papers, SVG for the screen; the same figure gives the same bytes."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from fontTools import subset  # type: ignore[import-untyped]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.style import RC
from prefix_rft.runs.atomic import write_bytes

KINDS: Mapping[str, Mapping[str, Any]] = {
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 2}},
    "pdf": {"metadata": {"CreationDate": None, "Producer": None, "Creator": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
}
"""The formats, and what keeps dates and versions out of them; most of a PNG's time would go into packing it tighter."""
_PATH = re.compile(r'(?<= d=")[^"]+')
_DECIMALS = re.compile(r"(\d\.\d\d)\d+")
_USELESS = ("GSUB", "GPOS", "GDEF", "kern")
"""Tables of a font that say how glyphs combine: of no use in a PDF, whose glyphs are placed already."""
_KEPT = frozenset(
    chr(code)
    for first, last in ((0x20, 0x24F), (0x370, 0x3FF), (0x2000, 0x22FF), (0x25A0, 0x25FF))
    for code in range(first, last + 1)
)
"""Characters of a font's quick copy: European letters, punctuation, arrows, mathematics, shapes."""


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes <name>.png, <name>.pdf and <name>.svg.

    Args:
        figure: laid out already.
        folder: there already.
        name: of the files; also what the ids inside the SVG are made of.

    Raises:
        RunError: the disk refuses.
    """
    written = [folder / f"{name}.{kind}" for kind in KINDS]
    with _garbage_waits():
        for file, kind in zip(written, KINDS, strict=True):
            write_bytes(file, drawn(figure, kind, name), durable=False)
    return written


def drawn(figure: Figure, kind: str, name: str) -> bytes:
    """The bytes of one format of `KINDS`."""
    buffer = BytesIO()
    quick = _quick_fonts() if kind == "pdf" and _characters(figure) <= _KEPT else nullcontext()
    with mpl.rc_context({**RC, "svg.hashsalt": name}), quick:
        figure.savefig(buffer, format=kind, **KINDS[kind])
    return _rounded(buffer.getvalue()) if kind == "svg" else buffer.getvalue()


@contextmanager
def _garbage_waits() -> Iterator[None]:
    """Drawing makes so many objects that all results would be looked through for garbage again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _rounded(svg: bytes) -> bytes:
    """Lines to a hundredth of a point."""
    return _PATH.sub(lambda path: _DECIMALS.sub(r"\1", path.group()), svg.decode()).encode()


def _characters(figure: Figure) -> set[str]:
    return {character for text in figure.findobj(Text) for character in text.get_text()} - {"\n"}


@contextmanager
def _quick_fonts() -> Iterator[None]:
    """Fonts are embedded from a copy with the usual glyphs under their own numbers.

    What a PDF embeds is the same, and the fontTools behind matplotlib need not read six thousand glyphs for it.
    """
    usual = subset.load_font
    subset.load_font = lambda file, options, **others: usual(
        BytesIO(_copy(os.fspath(file))), options, **others
    )
    try:
        yield
    finally:
        subset.load_font = usual


@cache
def _copy(file: str) -> bytes:
    options = subset.Options(retain_gids=True, glyph_names=True, notdef_outline=True, recommended_glyphs=True)
    options.drop_tables += ["FFTM"]  # FontForge's time stamp
    options.layout_features = ["*"]  # ligatures and other forms of the kept characters are kept too
    copy = subset.Subsetter(options)
    copy.populate(unicodes=map(ord, _KEPT))
    buffer = BytesIO()
    with TTFont(file, recalcTimestamp=False) as font:
        copy.subset(font)
        for table in _USELESS:
            if table in font:
                del font[table]
        font.save(buffer)
    return buffer.getvalue()
