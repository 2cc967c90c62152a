"""Equality of answers as strings, which needs no mathematics and no worker process."""

from __future__ import annotations

_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


def same_text(gold: str, answer: str) -> bool:
    """Whether two answers are the same string, whitespace around them aside; an empty one equals nothing."""
    return bool(gold.strip()) and gold.strip() == answer.strip()


def same_formula(gold: str, answer: str) -> bool:
    """Whether two answers are the same string once the delimiters of a formula around them are dropped."""
    return same_text(without_delimiters(gold), without_delimiters(answer))


def without_delimiters(answer: str) -> str:
    r"""The formula inside `$..$`, `$$..$$`, `\(..\)` or `\[..\]` where one pair spans the whole answer."""
    answer = answer.strip()
    for opening, closing in _DELIMITERS:
        inner = answer[len(opening) : len(answer) - len(closing)]
        if answer == opening + inner + closing and opening not in inner and closing not in inner:
            return inner.strip()
    return answer
