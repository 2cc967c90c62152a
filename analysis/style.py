"""How rows look: names, colours that colour-blind readers can tell apart (Okabe and Ito, Tol), lines, sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

Dashes = str | tuple[float, tuple[float, ...]]

COLUMN_INCHES = 3.35
"""Width of one column of a two-column paper."""

NAMES = {
    "base": "Base",
    "sft": "SFT",
    "rft": "RFT",
    "sft_rft": "SFT→RFT",
    "rl_sft_loss": "RL + SFT loss",
    "uft": "UFT",
    "luffy": "LUFFY",
    "relift": "ReLIFT",
    "dr_po": "DR-PO",
    "prefix_rft": "Prefix-RFT",
}
"""Display names of the methods, in the order of tables."""


@dataclass(frozen=True)
class Look:
    """One row's appearance; colour, dash and marker each tell it apart alone."""

    colour: str
    line: Dashes
    marker: str


_SHORT_DOTS = (0, (1, 1))
_LONG = (0, (6, 1.5))
_LONG_SHORT = (0, (5, 1, 1, 1))
_LONG_DOTS = (0, (5, 1, 1, 1, 1, 1))
_WIDE = (0, (3, 3))
_TWO_DASHES = (0, (4, 1, 4, 2))

_OF_METHOD = {
    "base": Look("#707070", ":", "s"),
    "sft": Look("#CC79A7", "--", "D"),
    "rft": Look("#0072B2", "-.", "^"),
    "sft_rft": Look("#009E73", _LONG, "v"),
    "rl_sft_loss": Look("#E69F00", _LONG_SHORT, "P"),
    "uft": Look("#56B4E9", _WIDE, "X"),
    "luffy": Look("#332288", _TWO_DASHES, "<"),
    "relift": Look("#882255", _LONG_DOTS, ">"),
    "dr_po": Look("#000000", _SHORT_DOTS, "*"),
    "prefix_rft": Look("#D55E00", "-", "o"),
}
_OF_VARIANTS = (
    Look("#56B4E9", "--", "P"),
    Look("#E69F00", "-.", "X"),
    Look("#000000", _SHORT_DOTS, "*"),
    Look("#882255", _LONG, "h"),
    Look("#117733", _LONG_SHORT, "d"),
    Look("#332288", _WIDE, "<"),
    Look("#AA4499", _TWO_DASHES, ">"),
    Look("#999933", _LONG_DOTS, "p"),
    Look("#0072B2", (0, (8, 2)), "H"),
    Look("#CC6677", (0, (2, 1)), "8"),
    Look("#44AA99", (0, (6, 1, 2, 1)), "^"),
    Look("#666666", (0, (1, 2)), "v"),
    Look("#B66DFF", (0, (3, 1, 1, 1)), "D"),
)
"""For rows beyond the first of a method; the later colours are Tol's muted ones."""

SETS = {
    "only_best": ("#E69F00", "#000000"),
    "both": ("#333333", "#FFFFFF"),
    "only_row": ("#0072B2", "#FFFFFF"),
    "neither": ("#E6E6E6", "#000000"),
}
"""Colours of solved sets with the ink of the numbers on them; apart in grey too (luminance 0.44, 0.03, 0.16, 0.79)."""

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.titley": 1.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.4,
    "figure.dpi": 200,
    "savefig.dpi": "figure",
    "text.parse_math": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
}
"""Matplotlib settings of every figure.

Text is never read as TeX: a row may be called `$x$`. In PDF it stays text (fonttype 42, which journals accept), in SVG
it is outlines, so that it looks alike where DejaVu Sans is not installed.
"""


def looks(rows: Iterable[tuple[str, str]]) -> dict[str, Look]:
    """A look for every (label, method): the first label of a known method takes the method's fixed look.

    The others take the looks of variants, those first whose colour no method in the figure has.
    """
    listed = list(dict(rows).items())
    fixed = {method: label for label, method in reversed(listed) if method in _OF_METHOD}
    chosen = {label: _OF_METHOD[method] for method, label in fixed.items()}
    taken = {look.colour for look in chosen.values()}
    free = cycle(sorted(_OF_VARIANTS, key=lambda look: look.colour in taken))
    return {label: chosen[label] if label in chosen else next(free) for label, _ in listed}


def darker(colour: str, share: float = 0.78) -> str:
    """The same hue for text, which needs more contrast than a line; `colour` as #RRGGBB."""
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(channel * share):02X}" for channel in channels)
