"""Equality of answers as strings or plain numbers, which needs no mathematics and no worker process."""

from __future__ import annotations

import re
from decimal import Decimal

_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))

_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,6})?")
"""What math-verify compares exactly: few enough digits for its floats, no more places than it rounds to."""


def same_text(gold: str, answer: str) -> bool:
    """Whether two answers are the same string, whitespace around them aside; an empty one equals nothing."""
    return bool(gold.strip()) and gold.strip() == answer.strip()


def same_formula(gold: str, answer: str) -> bool:
    """Whether two answers are the same string once the delimiters of a formula around them are dropped."""
    return same_text(without_delimiters(gold), without_delimiters(answer))


def same_number(gold: str, answer: str) -> bool | None:
    """Whether two answers are the same plain number, as math-verify would say; None unless both are one."""
    one, other = without_delimiters(gold), without_delimiters(answer)
    if _PLAIN_NUMBER.fullmatch(one) and _PLAIN_NUMBER.fullmatch(other):
        return Decimal(one) == Decimal(other)
    return None


def without_delimiters(answer: str) -> str:
    r"""The formula inside `$..$`, `$$..$$`, `\(..\)` or `\[..\]` where one pair spans the whole answer."""
    answer = answer.strip()
    for opening, closing in _DELIMITERS:
        inner = answer[len(opening) : len(answer) - len(closing)]
        if answer == opening + inner + closing and opening not in inner and closing not in inner:
            return inner.strip()
    return answer
