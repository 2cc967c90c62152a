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

from prefix_rft.grading.strings import without_delimiters
from prefix_rft.grading.verdict import Status

_DOLLAR = re.compile(r"(?<!\\)\$")
_SPACE = re.compile(r"\s+")
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}(?: [0-9]{3})+(?:\.[0-9]+)?")


def respond(task: str, *answers: str) -> object:
    """Entry point of the workers: `judge` of two answers, or `is_mathematics` of one.

    Raises:
        ValueError: the task has another name.
    """
    if task == "judge":
        gold, answer = answers
        return judge(gold, answer)
    if task == "is_mathematics":
        (gold,) = answers
        return is_mathematics(gold)
    raise ValueError(f"unknown task {task!r} for a grading worker. Known: is_mathematics, judge.")


def judge(gold: str, answer: str) -> tuple[bool, Status]:
    """Whether math-verify finds two answers equal, and whether it could read both as mathematics."""
    gold_forms, answer_forms = _read(gold), _read(answer)
    status: Status = "ok" if _is_parsed(gold_forms) and _is_parsed(answer_forms) else "unparsed"
    try:
        return bool(verify(gold_forms, answer_forms, timeout_seconds=None, raise_on_error=True)), status
    except MemoryError:
        raise
    except Exception:  # sympy raises many kinds where it cannot compare; the normalised strings still can be
        same = bool(verify(_texts(gold_forms), _texts(answer_forms), timeout_seconds=None))
        return same, status if same else "error"


def is_mathematics(gold: str) -> bool:
    """Whether math-verify reads the answer as mathematics."""
    return _is_parsed(_read(gold))


@lru_cache(maxsize=256)  # a gold answer meets many responses in a row
def _read(answer: str) -> list[Any]:
    r"""math-verify's forms of an answer: an expression if it finds one, and its normalised string.

    math-verify reads LaTeX only inside delimiters. `$..$` reads more (percentages, units), but a text that
    leaves nothing but a string there may still be read inside `\boxed{..}`. A gold answer with boxes of its
    own is read as it stands: several boxes then are a set of answers.
    """
    if r"\boxed" in answer:
        return _parse(answer)
    formula = _SPACE.sub(" ", _DOLLAR.sub("", without_delimiters(answer))).strip()
    formula = _joined_digits(formula)
    forms = _parse(f"${formula}$")
    if _is_parsed(forms):
        return forms
    boxed = _parse(rf"\boxed{{{formula}}}")
    return boxed if _is_parsed(boxed) else forms or boxed


def _parse(text: str) -> list[Any]:
    forms: list[Any] = parse(text, parsing_timeout=None, raise_on_error=True)
    return forms


def _joined_digits(formula: str) -> str:
    """A number whose digits are grouped by spaces, without them: 1 000 is else read as a product."""
    return _SPACE.sub("", formula) if _GROUPED.fullmatch(formula) else formula


def _texts(forms: list[Any]) -> list[str]:
    return [form for form in forms if isinstance(form, str)]


def _is_parsed(forms: list[Any]) -> bool:
    return len(_texts(forms)) < len(forms)
