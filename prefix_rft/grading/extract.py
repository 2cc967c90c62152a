r"""The final answer in a response: the last box, what follows a marker, the last number, line, or all of it.

A box counts only when it is closed. A response that was cut off inside its last box gives no answer, and
never the content of an earlier box: it had moved on from that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from prefix_rft.settings.grading import ExtractionRule

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BRACE_OR_ESCAPE = re.compile(r"\\.|[{}]", re.DOTALL)
_UNBRACED = re.compile(r"(?:[-+]?[0-9.]|\\[A-Za-z])(?:(?!\\[)\]])[^\s$])*")
_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[-+\u2212]?)\$?"
    r"(?P<digits>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+|/[0-9]+)?|\.[0-9]+)"
    r"(?P<exponent>[eE][-+]?[0-9]+)?"
)


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


def last_boxed(response: str) -> str | None:
    r"""Content of the last `\boxed` or `\fbox`: `\boxed{..}`, `\boxed {..}`, `\boxed 5`, `\boxed \frac12`.

    Braces nest and `\{`, `\}` do not count. Of boxes inside one another the innermost last one is taken. A
    `\boxed` that is followed by neither a brace nor a number nor a command is a mention of the word, not a
    box.

    Returns:
        The content without outer whitespace, or None: no box, an empty one, or a last box that is never
        closed.
    """
    for box in reversed(list(_BOX.finditer(response))):
        if response.startswith("{", box.end()):
            return _braced(response, box.end())
        unbraced = _UNBRACED.match(response, box.end())
        if unbraced:
            return unbraced.group().rstrip(".,;:") or None
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
    "last_number": last_number,
    "last_line": last_line,
    "whole": whole,
}


def _braced(text: str, opening: int) -> str | None:
    """What stands between the brace at `opening` and its partner; None if that is nothing, or it has none."""
    depth = 0
    for token in _BRACE_OR_ESCAPE.finditer(text, opening):
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        if depth == 0 and token.group() == "}":
            return text[opening + 1 : token.start()].strip() or None
    return None


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
