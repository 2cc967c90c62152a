"""Figures as they stand inside a page: lines where they are few enough, else pixels."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import matplotlib as mpl

from analysis.drawing import Picture
from analysis.page.sheet import Embedded, data_uri
from analysis.style import RC

LARGEST_SVG = 300_000
"""Bytes; a larger drawing is embedded as PNG."""
_PATH = re.compile(r'(?<= d=")[^"]+')
_DECIMALS = re.compile(r"(\d\.\d\d)\d+")


def embedded(picture: Picture, png: Path) -> Embedded:
    """A figure with its whole content; the same figure gives the same text.

    Args:
        picture: the figure, laid out already.
        png: its file of pixels.
    """
    svg = _svg(picture)
    if len(svg) <= LARGEST_SVG:
        return Embedded(picture.name, picture.caption, data_uri("image/svg+xml", svg))
    return Embedded(picture.name, picture.caption, data_uri("image/png", png.read_bytes()))


def _svg(picture: Picture) -> bytes:
    """The drawing; text as outlines, so that no font is needed, and lines to a hundredth of a point."""
    buffer = BytesIO()
    with mpl.rc_context({**RC, "svg.fonttype": "path", "svg.hashsalt": picture.name}):
        picture.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    rounded = _PATH.sub(lambda path: _DECIMALS.sub(r"\1", path.group()), buffer.getvalue().decode())
    return rounded.encode()
