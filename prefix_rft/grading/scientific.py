r"""Scientific notation made alike: `3e8`, `3E+08`, `3\times10^8`, `3 \cdot 10^{8}` and `300000000` are one number.

math-verify reads the e of 3e8 as Euler's number, and compares decimals after rounding to six places, by which 1e-8 and
2e-8 would be equal. Here numbers are compared exactly, and inside longer formulas they are written out as integers and
fractions, which math-verify compares exactly. Units stay as they are.
"""

from __future__ import annotations

import re
from fractions import Fraction

from prefix_rft.grading.signs import as_latex
from prefix_rft.grading.strings import without_delimiters

_LARGEST_EXPONENT = 400
"""Beyond it a number is not written out; no physical quantity is."""
_LONGEST_MANTISSA = 400
"""134 groups of three digits are more: a number of more groups is not looked at group by group again."""

_SPACE = r"(?:\s|\\[,;:! ]|~)*"
_MANTISSA = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,134}(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_POWER = (
    rf"{_SPACE}(?:\\times|\\cdot|\\ast|\*|[xX]){_SPACE}10{_SPACE}(?:\^|\*\*){_SPACE}"
    r"(?:\{\s*(?P<braced>[-+]?\s*[0-9]+)\s*\}|\(\s*(?P<bracketed>[-+]?[0-9]+)\s*\)|(?P<bare>[-+]?[0-9]+))"
)
_E = r"[eE](?P<e>[-+]?[0-9]+)(?![0-9.])"
_SCIENTIFIC = re.compile(rf"(?<![\w.\\])(?P<mantissa>{_MANTISSA})(?:{_E}|{_POWER})")
_NUMBER = re.compile(rf"(?P<sign>[-+]?){_SPACE}(?P<mantissa>{_MANTISSA})(?:{_E}|{_POWER})?")
_POWER_ALONE = re.compile(r"(?P<sign>[-+]?)10\^(?:\{(?P<braced>[-+]?[0-9]+)\}|(?P<bare>[-+]?[0-9]+))")
_UNIT = re.compile(
    r"(?:\s|\\[,;:! ]|~|/|\\cdot\b|\\(?:text|mathrm|mbox|textrm)\s*\{[^{}%]*\}(?:\s*\^\s*(?:\{[-0-9]+\}|[-0-9]+))?)*"
)


def number(answer: str) -> Fraction | None:
    r"""The exact value of an answer that is one number in any of the notations, a unit in `\text{..}` aside.

    Returns:
        None for anything else, and for numbers with an exponent beyond 400.
    """
    formula = _formula(answer)
    for pattern in (_NUMBER, _POWER_ALONE):
        match = pattern.match(formula)
        if match and _UNIT.fullmatch(formula, match.end()):
            value = _value(match)
            return value if value is None or match["sign"] != "-" else -value
    return None


def written_out(answer: str) -> str:
    r"""The answer with every number in scientific notation as an integer or a `\frac{..}{..}`."""
    return _SCIENTIFIC.sub(_plain, _formula(answer))


def _formula(answer: str) -> str:
    return as_latex(without_delimiters(answer)).strip()


def _plain(match: re.Match[str]) -> str:
    value = _value(match)
    if value is None:
        return match.group()
    return str(value) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _value(match: re.Match[str]) -> Fraction | None:
    parts = match.groupdict()
    mantissa = (parts.get("mantissa") or "1").replace(",", "").rstrip(".")
    written = next((parts[name] for name in ("e", "braced", "bracketed", "bare") if parts.get(name)), "0")
    exponent = "".join(written.split())
    if len(mantissa) > _LONGEST_MANTISSA or len(exponent) > 5 or abs(int(exponent)) > _LARGEST_EXPONENT:
        return None
    return Fraction(mantissa) * Fraction(10) ** int(exponent)
