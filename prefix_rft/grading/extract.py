"""The final answer in a response: the last boxes, what follows a marker, a statement, the last number, line, or all."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from prefix_rft.grading.boxes import last_boxed, last_boxes
from prefix_rft.grading.conclusion import conclusion
from prefix_rft.settings.grading import ExtractionRule, Think

_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[-+\u2212]?)\$?"
    r"(?P<digits>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+|/[0-9]+)?|\.[0-9]+)"
    r"(?P<exponent>[eE][-+]?[0-9]+)?"
)
_CLOSE = "</think>"


def graded_part(response: str, think: Think) -> str | None:
    """What of a response is graded: all of it, or what follows the last `</think>`; None where that is missing."""
    if think == "whole":
        return response
    _, close, answer = response.rpartition(_CLOSE)
    return answer if close or think == "after_close" else None


def extract(response: str, rules: Sequence[ExtractionRule], markers: Sequence[str] = ()) -> str | None:
    """The answer by the first rule that finds one, without outer whitespace; None where no rule does.

    Args:
        response: The model's text.
        rules: Tried in order.
        markers: What may stand before the answer, for `after_marker`; tried in order.
    """
    for rule in rules:
        answer = after_marker(response, markers) if rule == "after_marker" else _RULES[rule](response)
        if answer:
            return answer
    return None


def after_marker(response: str, markers: Sequence[str]) -> str | None:
    """What follows the last occurrence of a marker on its line; the first marker with something there counts.

    Where the marker ends its line the next line that is not blank counts. Outer whitespace, Markdown's
    asterisks and one closing full stop are dropped. A marker that begins with a letter or digit is not found
    inside a longer word.
    """
    for marker in markers:
        start = _last_position(response, marker)
        if start is not None:
            lines = response[start:].strip().split("\n", 1)
            answer = _without_full_stop(lines[0])
            if answer:
                return answer
    return None


def last_number(response: str) -> str | None:
    """The last number (decimals, a/b, exponents too), without thousands separators and dollar sign."""
    numbers = list(_NUMBER.finditer(response))
    if not numbers:
        return None
    last = numbers[-1]
    sign = "-" if last["sign"] in ("-", "\N{MINUS SIGN}") else ""
    return sign + last["digits"].replace(",", "") + (last["exponent"] or "")


def last_line(response: str) -> str | None:
    """The last line that is not blank, without a closing full stop and Markdown's asterisks."""
    return _without_full_stop(response.strip().rsplit("\n", 1)[-1]) or None


def whole(response: str) -> str | None:
    """The whole response without outer whitespace."""
    return response.strip() or None


_RULES: dict[ExtractionRule, Callable[[str], str | None]] = {
    "last_boxed": last_boxed,
    "last_boxes": last_boxes,
    "conclusion": conclusion,
    "last_number": last_number,
    "last_line": last_line,
    "whole": whole,
}


def _last_position(response: str, marker: str) -> int | None:
    """Where the text after the last occurrence of `marker` begins."""
    end = len(response)
    while (start := response.rfind(marker, 0, end)) >= 0:
        inside_word = marker[0].isalnum() and start > 0 and response[start - 1].isalnum()
        if not inside_word:
            return start + len(marker)
        end = start + len(marker) - 1
    return None


def _without_full_stop(line: str) -> str:
    line = line.strip().strip("*").strip()
    return line if line.endswith("..") else line.removesuffix(".").rstrip()
