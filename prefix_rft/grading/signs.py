r"""Signs of Unicode written as LaTeX: `x²` is `x^{2}`."""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = dict.fromkeys(
    [0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)]
)
"""Soft hyphens, marks of direction and of width nothing."""
_SPACES = dict.fromkeys([0xA0, 0x3000, *range(0x2000, 0x200B), 0x202F, 0x205F], " ")
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_GREEK = "alpha beta gamma delta epsilon zeta eta theta kappa mu nu xi pi rho sigma tau phi chi psi omega"
_COMMANDS = {
    "GREEK SMALL LETTER LAMDA": "lambda",
    "MULTIPLICATION SIGN": "times",
    "MIDDLE DOT": "cdot",
    "DOT OPERATOR": "cdot",
    "PLUS-MINUS SIGN": "pm",
    "LESS-THAN OR EQUAL TO": "le",
    "GREATER-THAN OR EQUAL TO": "ge",
    "NOT EQUAL TO": "ne",
    "INFINITY": "infty",
    "UNION": "cup",
    "INTERSECTION": "cap",
    "ELEMENT OF": "in",
    "EMPTY SET": "emptyset",
    "HORIZONTAL ELLIPSIS": "ldots",
} | {f"GREEK SMALL LETTER {name.upper()}": name for name in _GREEK.split()}
_CHARACTERS = {
    "MINUS SIGN": "-",
    "EN DASH": "-",
    "DIVISION SIGN": "/",
    "FRACTION SLASH": "/",
    "DEGREE SIGN": r"^{\circ}",
}
_DIGITS = "ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE".split()
_ONE_FOR_ONE = (
    {ord(unicodedata.lookup(name)): rf"\{command} " for name, command in _COMMANDS.items()}
    | {ord(unicodedata.lookup(name)): text for name, text in _CHARACTERS.items()}
    | _INVISIBLE
    | _SPACES
    | _FULL_WIDTH
)
_RAISED = {unicodedata.lookup(f"SUPERSCRIPT {name}"): str(digit) for digit, name in enumerate(_DIGITS)} | {
    unicodedata.lookup("SUPERSCRIPT MINUS"): "-",
    unicodedata.lookup("SUPERSCRIPT PLUS SIGN"): "+",
}
_LOWERED = {unicodedata.lookup(f"SUBSCRIPT {name}"): str(digit) for digit, name in enumerate(_DIGITS)}
_RAISED_RUN = re.compile(f"[{''.join(_RAISED)}]+")
_LOWERED_RUN = re.compile(f"[{''.join(_LOWERED)}]+")
_VULGAR_FRACTION = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_ROOT = re.compile("\u221a" + r"\s*(?:\(([^()]*)\)|\{([^{}]*)\}|([0-9.]+|\\?[A-Za-z]+))")


def as_latex(text: str) -> str:
    r"""The text with signs of Unicode as LaTeX, roots and fractions too; invisible ones are dropped."""
    if text.isascii():
        return text
    text = _RAISED_RUN.sub(lambda run: "^{" + "".join(_RAISED[sign] for sign in run.group()) + "}", text)
    text = _LOWERED_RUN.sub(lambda run: "_{" + "".join(_LOWERED[sign] for sign in run.group()) + "}", text)
    text = _VULGAR_FRACTION.sub(_fraction, text).translate(_ONE_FOR_ONE)
    return _ROOT.sub(
        lambda root: rf"\sqrt{{{next(part for part in root.groups() if part is not None)}}}", text
    )


def _fraction(match: re.Match[str]) -> str:
    over, under = unicodedata.normalize("NFKC", match.group()).split("\u2044")
    return rf"\frac{{{over}}}{{{under}}}"
