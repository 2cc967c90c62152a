"""Equality of two answers as math-verify sees it; runs in worker processes, where this module is imported.

A comparison may run for minutes or take all memory. math-verify is called without its own alarms: the pool
ends a worker that is past its limit, which also works where an alarm is not heard (one long operation on big
integers).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from math_verify import parse, verify
from sympy import Basic, I, Set

from prefix_rft.grading import notation
from prefix_rft.grading.probe import plainly_differ
from prefix_rft.grading.scientific import number, written_out
from prefix_rft.grading.strings import without_delimiters
from prefix_rft.grading.verdict import Status

_DOLLAR = re.compile(r"(?<!\\)\$")
_SPACE = re.compile(r"\s+")
_PERCENT = re.compile(r"(?P<number>.*[0-9}])(?:\s*(?:\\?%|\\text\{\s*percent\s*\})|\s+percent)")
_DECIMAL_COMMA = re.compile(r"[-+]?(?:[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]+)")
_DECIMAL_POINT = re.compile(r"[-+]?[0-9]+\.[0-9]+")
_BASED = re.compile(r"\(?(?P<digits>[0-9A-Z]+)\)?_\s*\{?(?:\\text\{)?\s*(?P<base>[0-9]+|[a-z]+)\s*\}*")
_BASES = {
    name: str(base)
    for base, name in enumerate("two three four five six seven eight nine ten eleven twelve".split(), start=2)
}


def respond(task: str, *answers: str) -> object:
    """Entry point of the workers: `judge` or `judge_scientific` of two answers, or `is_mathematics` of one.

    Raises:
        ValueError: the task has another name.
    """
    if task == "judge":
        gold, answer = answers
        return judge(gold, answer)
    if task == "judge_scientific":
        gold, answer = answers
        return judge_scientific(gold, answer)
    if task == "is_mathematics":
        (gold,) = answers
        return is_mathematics(gold)
    raise ValueError(
        f"unknown task {task!r} for a grading worker. Known: is_mathematics, judge, judge_scientific."
    )


def judge(gold: str, answer: str) -> tuple[bool, Status]:
    """Whether two answers are equal, and whether math-verify could read both as mathematics.

    Where the two are written by different conventions (a percentage and a number, a decimal comma and a decimal
    point) the answer counts in either reading.
    """
    gold, answer = _formula(gold), _formula(answer)
    if _other_base(gold, answer):
        return False, "ok"
    gold, answer = notation.distinct_cases(gold, answer)
    equal, status = _compare(gold, answer)
    if not equal and (readings := _other_readings(gold, answer)):
        again, status_again = _compare(*readings)
        return again, status_again if again else status
    return equal, status


def judge_scientific(gold: str, answer: str) -> tuple[bool, Status]:
    """`judge` that reads scientific notation; two numbers are compared exactly."""
    one, other = number(gold), number(answer)
    if one is not None and other is not None:
        return one == other, "ok"
    return judge(written_out(gold), written_out(answer))


def is_mathematics(gold: str) -> bool:
    """Whether math-verify reads the answer as mathematics."""
    return _is_parsed(_read(_formula(gold), unit_allowed=False))


def _compare(gold: str, answer: str) -> tuple[bool, Status]:
    gold_forms = _read(gold, unit_allowed=False)
    answer_forms = _read(answer, unit_allowed=not notation.variables(gold))
    status: Status = "ok" if _is_parsed(gold_forms) and _is_parsed(answer_forms) else "unparsed"
    try:
        complex_forms = _complex(gold_forms), _complex(answer_forms)
        if plainly_differ(*complex_forms) and not set(_texts(gold_forms)) & set(_texts(answer_forms)):
            return False, status
        if _equal(gold_forms, answer_forms):
            return True, status
        return complex_forms != (gold_forms, answer_forms) and _equal(*complex_forms), status
    except MemoryError:
        raise
    except Exception:  # sympy raises many kinds where it cannot compare; the normalised strings still can be
        same = bool(verify(_texts(gold_forms), _texts(answer_forms), timeout_seconds=None))
        return same, status if same else "error"


def _equal(gold_forms: list[Any], answer_forms: list[Any]) -> bool:
    is_set = any(isinstance(form, Set) for form in gold_forms)  # met by the inequality that describes it
    return bool(
        verify(
            gold_forms,
            answer_forms,
            timeout_seconds=None,
            raise_on_error=True,
            allow_set_relation_comp=is_set,
        )
    )


def _complex(forms: list[Any]) -> list[Any]:
    """The forms with the imaginary unit for the symbol i, as which math-verify reads it."""
    return [
        form.subs({symbol: I for symbol in form.free_symbols if str(symbol) == "i"})
        if isinstance(form, Basic)
        else form
        for form in forms
    ]


def _other_base(gold: str, answer: str) -> bool:
    """Whether both are numbers in a written base and differ in base or digits; math-verify drops the base."""
    one, other = _BASED.fullmatch(gold), _BASED.fullmatch(answer)
    return bool(one and other) and _digits_and_base(one) != _digits_and_base(other)


def _digits_and_base(match: re.Match[str] | None) -> tuple[str, str] | None:
    return (match["digits"].lstrip("0"), _BASES.get(match["base"], match["base"])) if match else None


def _other_readings(gold: str, answer: str) -> tuple[str, str] | None:
    one, other = _PERCENT.fullmatch(gold), _PERCENT.fullmatch(answer)
    if one and not other:
        return rf"\frac{{{one['number']}}}{{100}}", answer
    if other and not one:
        return gold, rf"\frac{{{other['number']}}}{{100}}"
    if _DECIMAL_COMMA.fullmatch(gold) and _DECIMAL_POINT.fullmatch(answer):
        return gold.replace(",", "."), answer
    if _DECIMAL_POINT.fullmatch(gold) and _DECIMAL_COMMA.fullmatch(answer):
        return gold, answer.replace(",", ".")
    return None


def _formula(answer: str) -> str:
    """The answer as a formula without delimiters, in notation that math-verify reads; boxes stay."""
    if r"\boxed" in answer:
        return answer
    return notation.plain(_SPACE.sub(" ", _DOLLAR.sub("", without_delimiters(answer))))


@lru_cache(maxsize=1024)  # a gold answer meets many responses, and an answer both readings of a gold answer
def _read(formula: str, *, unit_allowed: bool) -> list[Any]:
    r"""math-verify's forms of an answer: an expression if it finds one, and its normalised string.

    math-verify reads LaTeX only inside delimiters. `$..$` reads more (percentages, units), but a text that
    leaves nothing but a string there may still be read inside `\boxed{..}`. A gold answer with boxes of its
    own is read as it stands: several boxes then are a set of answers.
    """
    if r"\boxed" in formula:
        return _parse(formula)
    formula = notation.keep_last_variable(formula, unit_allowed=unit_allowed)
    forms = _parse(f"${formula}$")
    if _is_parsed(forms):
        return forms
    boxed = _parse(rf"\boxed{{{formula}}}")
    return boxed if _is_parsed(boxed) else forms or boxed


def _parse(text: str) -> list[Any]:
    forms: list[Any] = parse(text, parsing_timeout=None, raise_on_error=True)
    return forms


def _texts(forms: list[Any]) -> list[str]:
    return [form for form in forms if isinstance(form, str)]


def _is_parsed(forms: list[Any]) -> bool:
    return len(_texts(forms)) < len(forms)


def _warm_up() -> None:
    """Build what the parser builds at its first formulas now, where it is no part of a verdict's time."""
    for formula in (r"\frac{1}{2}+\sqrt{x}", r"(1, x^{2})", "x=1"):
        judge(formula, formula)


_warm_up()
