"""Figures as they stand inside a page: lines where they are few enough, else pixels."""

from __future__ import annotations

from pathlib import Path

from analysis.figure_folders import Drawn
from analysis.page.sheet import Embedded, data_uri

LARGEST_SVG = 300_000
"""Bytes; a larger drawing is embedded as PNG."""


def embedded(drawn: Drawn, folder: Path) -> Embedded:
    """A figure with its whole content, from its files.

    Args:
        drawn: the figure.
        folder: where its files are.
    """
    svg = (folder / f"{drawn.name}.svg").read_bytes()
    if len(svg) <= LARGEST_SVG:
        return Embedded(drawn.name, drawn.caption, data_uri("image/svg+xml", svg))
    return Embedded(
        drawn.name, drawn.caption, data_uri("image/png", (folder / f"{drawn.name}.png").read_bytes())
    )
