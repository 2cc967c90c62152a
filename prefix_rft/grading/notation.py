r"""Notation that math-verify misreads, rewritten so that it reads what is written.

Each rule states something that holds whatever the question was: `10\,000` is a number whose digits are grouped,
`0.\overline{3}` is a third, `1 1/2` is three halves. Where the same signs can mean two things the text stays as it
is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from prefix_rft.grading.signs import as_latex

_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_DECORATION = re.compile(r"(?:\\(?:underline|mathbf|bm|boldsymbol)\{([^{}]*)\}|\*\*([^*]*)\*\*)")
_CURRENCY = re.compile(r"(?:\\\$|\\(?:pounds|euro|yen)\b|[£€¥₹])\s*(?=[-+]?[0-9.])")
_GROUP = r"(?:,|\s*\{\s*,\s*\}\s*|,\\!|\\[,;:! ]|~| )"
_GROUPED = re.compile(
    rf"[-+]?[1-9][0-9]{{0,2}}(?P<gap>{_GROUP})[0-9]{{3}}(?:(?P=gap)[0-9]{{3}})*(?:\.[0-9]+)?"
)
_GAP = re.compile(_GROUP)
_MIXED = re.compile(r"(?P<whole>[-+]?[0-9]+)\s+(?P<over>[0-9]+)\s*/\s*(?P<under>[0-9]+)")
_REPEATING = re.compile(
    r"(?P<start>(?<![0-9.])[0-9]*)\.(?P<once>[0-9]*)\\(?:overline|bar)\s*(?:\{(?P<period>[0-9]+)\}|(?P<digit>[0-9]))"
)
_MAGNITUDES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_MAGNITUDE = re.compile(
    rf"(?P<number>{_NUMBER})\s*+(?:\\[ ,;]|~)?+\s*+(?:\\(?:text|mathrm|mbox)\s*\{{\s*)?"
    rf"(?P<word>{'|'.join(_MAGNITUDES)})\b"
)
_COUNTED = re.compile(rf"(?P<number>{_NUMBER})\s+(?P<words>[A-Za-z]{{3,}}(?:\s+[A-Za-z]+)*)")
_NOT_THINGS = frozenset(
    "and or more less plus minus times over choose half halves third thirds quarter quarters fourths fifths sixths"
    " sqrt sin cos tan log exp percent pct percentage dozen mod factorial squared cubed".split()
)
_VARIABLE_AT_END = re.compile(r"(?<=[0-9}\s])(?P<letters>[A-Za-z]|ab|bc|[cdghlot]s)$")
_COUNTED_UNIT = re.compile(rf"(?:{_NUMBER}|\\frac\s*\{{[0-9]+\}}\s*\{{[0-9]+\}})\s*[A-Za-z]{{1,2}}")
_SPARE = (r"\chi", r"\xi", r"\zeta", r"\eta", r"\kappa", r"\nu")
_LETTERS = re.compile(
    r"\\(?:text|mathrm|mbox|operatorname)\s*\{[^{}]*\}|\\[A-Za-z]+|[A-Za-z]{3,}|(?P<letter>[A-Za-z])"
)


def plain(formula: str) -> str:
    """The formula in notation that math-verify reads; equal formulas stay equal."""
    formula = as_latex(formula).strip()
    for rewrite in _REWRITES:
        formula = rewrite(formula)
    return formula.strip()


def variables(formula: str) -> frozenset[str]:
    r"""The letters that stand for something: not those of commands, of `\text{..}`, nor e and i."""
    found = (match["letter"] for match in _LETTERS.finditer(formula))
    return frozenset(letter for letter in found if letter and letter not in "ei")


def distinct_cases(gold: str, answer: str) -> tuple[str, str]:
    """Both formulas with other letters for capitals where one of them holds a letter in both cases.

    math-verify reads R as r: R - r would be zero. Where neither holds both, r for R is let pass.
    """
    capitals = sorted(
        letter.upper()
        for letter in variables(gold) | variables(answer)
        if any({letter.upper(), letter.lower()} <= variables(formula) for formula in (gold, answer))
    )
    spare = [name for name in _SPARE if name not in gold + answer]
    renamed = dict(zip(dict.fromkeys(capitals), spare, strict=False))
    if not renamed:
        return gold, answer
    return _renamed(gold, renamed), _renamed(answer, renamed)


def _renamed(formula: str, renamed: dict[str, str]) -> str:
    return _LETTERS.sub(
        lambda match: renamed[match["letter"]] + " " if match["letter"] in renamed else match.group(), formula
    )


def keep_last_variable(formula: str, *, unit_allowed: bool) -> str:
    r"""Say that letters at the end are a variable, which math-verify takes for a unit: `2\pi t`, `x + c`.

    Args:
        formula: A gold answer, or a response's.
        unit_allowed: Leave a letter right after a number, `3 m`: the gold answer holds no variable.
    """
    if not _VARIABLE_AT_END.search(formula) or (unit_allowed and _COUNTED_UNIT.fullmatch(formula)):
        return formula
    return formula + r"\;"


def _undecorated(formula: str) -> str:
    match = _DECORATION.fullmatch(formula)
    return (match[1] or match[2] or "").strip() if match else formula


def _without_full_stop(formula: str) -> str:
    return formula if formula.endswith(("..", r"\.")) else formula.removesuffix(".").rstrip()


def _without_currency(formula: str) -> str:
    return _CURRENCY.sub("", formula)


def _joined_digits(formula: str) -> str:
    return _GAP.sub("", formula) if _GROUPED.fullmatch(formula) else formula


def _mixed_number(formula: str) -> str:
    match = _MIXED.fullmatch(formula)
    return rf"{match['whole']}\frac{{{match['over']}}}{{{match['under']}}}" if match else formula


def _repeating_decimals(formula: str) -> str:
    r"""`0.1\overline{6}` is (16 - 1)/90."""
    return _REPEATING.sub(_fraction_of, formula)


def _fraction_of(match: re.Match[str]) -> str:
    start, once, period = match["start"], match["once"], match["period"] or match["digit"]
    if len(start + once + period) > 100:
        return match.group()
    over = int(start + once + period) - int(start + once or "0")
    return rf"\frac{{{over}}}{{{(10 ** len(period) - 1) * 10 ** len(once)}}}"


def _magnitudes(formula: str) -> str:
    r"""`5 million` is `5\cdot 10^{6}`."""
    match = _MAGNITUDE.match(formula)
    if not match:
        return formula
    rest = formula[match.end() :].lstrip("} ")
    return rf"{match['number']} \cdot 10^{{{_MAGNITUDES[match['word']]}}}" + (
        rf"\text{{ {rest}}}" if rest.isalpha() else ""
    )


def _counted_things(formula: str) -> str:
    r"""`36 dollars` as `36\text{ dollars}`, which is read as 36."""
    match = _COUNTED.fullmatch(formula)
    if not match or _NOT_THINGS & set(match["words"].lower().split()):
        return formula
    return rf"{match['number']}\text{{ {match['words']}}}"


def _known_commands(formula: str) -> str:
    return formula.replace(r"\varnothing", r"\emptyset")


_REWRITES: tuple[Callable[[str], str], ...] = (
    _undecorated,
    _without_full_stop,
    _without_currency,
    _joined_digits,
    _mixed_number,
    _repeating_decimals,
    _magnitudes,
    _counted_things,
    _known_commands,
)
