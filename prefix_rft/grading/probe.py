"""Whether two expressions differ at a point, which is found out faster than that simplification cannot join them.

Most responses that are wrong are plainly wrong; math-verify simplifies their difference for 50 ms and more. Where both
expressions have different values at one point, no simplification makes the difference zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sympy import Basic, Expr, Rational, Symbol, UnevaluatedExpr

_PLAINLY = 1e-3
"""Least distance of two values that differ: far beyond what rounding to six decimal places forgives."""
_DIGITS = 15


def plainly_differ(gold_forms: Iterable[Any], answer_forms: Iterable[Any]) -> bool:
    """Whether the forms are one expression each, with values at some point that no rounding makes equal.

    Forms that math-verify compares by other rules (relations, sets, matrices, lone symbols, percentages) never
    differ plainly.
    """
    golds = [form for form in gold_forms if not isinstance(form, str)]
    answers = [form for form in answer_forms if not isinstance(form, str)]
    if len(golds) != 1 or len(answers) != 1 or not (_is_plain(golds[0]) and _is_plain(answers[0])):
        return False
    one, other = _value(golds[0]), _value(answers[0])
    if one is None or other is None:
        return False
    return abs(one - other) > _PLAINLY * max(1.0, abs(one), abs(other))


def _is_plain(form: Any) -> bool:
    return isinstance(form, Expr) and not isinstance(form, Symbol) and not form.has(UnevaluatedExpr)


def _value(form: Expr) -> complex | None:
    """The value with every symbol at a number that its name gives; None where there is no finite one."""
    try:
        at = {symbol: _point(symbol) for symbol in form.free_symbols}
        value = complex(form.subs(at).evalf(_DIGITS))
    except MemoryError:
        raise
    except Exception:  # undefined functions, poles, matrices inside: math-verify decides
        return None
    return value if abs(value) < 1e12 else None


def _point(symbol: Basic) -> Rational:
    """Between 1 and 2, where roots and logarithms are real."""
    code = sum((index + 1) * ord(char) for index, char in enumerate(str(symbol)))
    return 1 + Rational(code * 7919 % 9973, 9973)
