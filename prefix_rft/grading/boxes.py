r"""What stands in the last `\boxed` or `\fbox` of a response, or in the last few where they make one list.

A box counts only when it is closed. A response that was cut off inside its last box gives no answer, and never the
content of an earlier box: it had moved on from that one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BRACE_OR_ESCAPE = re.compile(r"\\.|[{}]", re.DOTALL)
_UNBRACED = re.compile(r"(?:[-+]?[0-9.]|\\[A-Za-z])(?:(?!\\[)\]])[^\s$])*")
_BETWEEN = re.compile(
    r"(?:(?!\n\s*\n)\s|[,;$&.]|\\[\\,;:! ()\[\]]|\\q?quad\b|\\(?:text|mathrm|mbox)\s*\{[^{}]{0,60}\}|\b(?:and|or)\b"
    r"|[A-Za-z](?:_\{?[A-Za-z0-9]+\}?)?\s*=)*"
)
_LONGEST_BETWEEN = 100


class Box(NamedTuple):
    """Where a box begins and ends, and what is in it: None for nothing, and for a box that is never closed."""

    start: int
    end: int
    content: str | None


def last_boxed(response: str) -> str | None:
    r"""Content of the last `\boxed` or `\fbox`: `\boxed{..}`, `\boxed {..}`, `\boxed 5`, `\boxed \frac12`.

    Braces nest and `\{`, `\}` do not count. Of boxes inside one another the innermost last one is taken. A
    `\boxed` that is followed by neither a brace nor a number nor a command is a mention of the word, not a
    box.

    Returns:
        The content without outer whitespace, or None: no box, an empty one, or a last box that is never
        closed.
    """
    boxes = _last_run(response, most=1)
    return boxes[0].content if boxes else None


def last_boxes(response: str) -> str | None:
    r"""Like `last_boxed`, with the boxes before it that belong to the same list: `\boxed{1}` and `\boxed{2}` is `1, 2`.

    Between two boxes of a list stand commas, `and`, `or`, delimiters, `\text{..}`, or the name of the next value
    (`y =`), and no blank line. A box that repeats another counts once.
    """
    contents = [box.content for box in _last_run(response, most=100)]
    if not contents or None in contents:
        return None
    return ", ".join(dict.fromkeys(content for content in contents if content))


def _last_run(response: str, most: int) -> list[Box]:
    """The last box and, up to `most`, those before it that make one list with it."""
    run: list[Box] = []
    for command in reversed(list(_BOX.finditer(response))):
        box = _box(response, command, before=run[0].start if run else len(response))
        if box is None and not run:
            continue
        if box is None or (run and not _joined(response, box, run[0])):
            break
        run.insert(0, box)
        if len(run) == most or box.content is None:
            break
    return run


def _joined(response: str, box: Box, following: Box) -> bool:
    between = response[box.end : following.start]
    return box.content is not None and len(between) <= _LONGEST_BETWEEN and bool(_BETWEEN.fullmatch(between))


def _box(response: str, command: re.Match[str], before: int) -> Box | None:
    """The box of this command, which has to end before a position; None where nothing here can be one."""
    start = command.end()
    if response.startswith("{", start):
        closing = _closing(response, start, before)
        if closing is None:
            return Box(command.start(), before, None)
        return Box(command.start(), closing + 1, response[start + 1 : closing].strip() or None)
    unbraced = _UNBRACED.match(response, start, before)
    if unbraced is None:
        return None
    return Box(command.start(), unbraced.end(), unbraced.group().rstrip(".,;:") or None)


def _closing(text: str, opening: int, before: int) -> int | None:
    """Where the brace at `opening` is closed, if before a position: scans of boxes in a row do not overlap."""
    depth = 0
    for token in _BRACE_OR_ESCAPE.finditer(text, opening, before):
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        if depth == 0 and token.group() == "}":
            return token.start()
    return None
