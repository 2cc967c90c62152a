"""How methods look: names, fixed colours (Okabe and Ito's, safe for colour-blind readers), lines, sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

Dashes = str | tuple[float, tuple[float, ...]]

COLUMN_INCHES = 3.35
"""Width of one column of a two-column paper."""

NAMES = {"base": "Base", "sft": "SFT", "rft": "RFT", "sft_rft": "SFT→RFT", "prefix_rft": "Prefix-RFT"}
"""Display names of the methods, in the order of tables."""


@dataclass(frozen=True)
class Look:
    """One row's appearance; colour, dash and marker each tell it apart alone."""

    colour: str
    line: Dashes
    marker: str


_OF_METHOD = {
    "base": Look("#666666", ":", "s"),
    "sft": Look("#CC79A7", "--", "D"),
    "rft": Look("#0072B2", "-.", "^"),
    "sft_rft": Look("#009E73", (0, (6, 1.5)), "v"),
    "prefix_rft": Look("#D55E00", "-", "o"),
}
_OF_VARIANTS = (
    Look("#56B4E9", "--", "P"),
    Look("#E69F00", "-.", "X"),
    Look("#000000", (0, (1, 1)), "*"),
    Look("#CC79A7", (0, (3, 1, 1, 1)), "h"),
)

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.4,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
}
"""Matplotlib settings of every figure; fonttype 42 keeps text selectable in PDF."""


def looks(rows: Iterable[tuple[str, str]]) -> dict[str, Look]:
    """A look for every (label, method): the first label of a known method takes the method's fixed look."""
    free, chosen = cycle(_OF_VARIANTS), {}
    taken: set[str] = set()
    for label, method in rows:
        fixed = method in _OF_METHOD and method not in taken
        chosen[label] = _OF_METHOD[method] if fixed else next(free)
        taken.add(method)
    return chosen


def darker(colour: str, share: float = 0.78) -> str:
    """The same hue for text, which needs more contrast than a line; `colour` as #RRGGBB."""
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(channel * share):02X}" for channel in channels)
