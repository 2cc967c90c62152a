"""Text of any origin made fit for a page: nothing in it is invisible, nothing in it is markup or script."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from prefix_rft.visible import visible as visible

_MARKUP = re.compile("[<>&\u2028\u2029]")
_MAY_HIDE = re.compile(r"\\[ubfr]|\x7f")
"""In ASCII JSON: an escape that may stand for what `visible` writes otherwise; of all others it makes nothing."""


def cut(text: str, longest: int) -> str:
    """At most so many characters, and how many are left out."""
    left = len(text) - longest
    return text if left <= 0 else f"{text[:longest]} [and {left} characters more]"


def script_json(value: Any) -> str:
    """JSON that can stand in a script element: it cannot end the element, open a comment, or break a line.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return "".join(_pieces(value, levels=2))


def _pieces(value: Any, levels: int) -> Iterator[str]:
    """Part by part: the runs of a large sweep are not copied as a whole."""
    if not (levels and isinstance(value, dict) and value):
        yield _MARKUP.sub(lambda found: f"\\u{ord(found.group()):04x}", _json(value))
        return
    before = "{"
    for key, nested in value.items():
        yield before
        yield from _pieces(str(key), 0)
        yield ":"
        yield from _pieces(nested, levels - 1)
        before = ","
    yield "}"


def _json(value: Any) -> str:
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    if _MAY_HIDE.search(text) is None:
        return text
    return json.dumps(_shown(value), allow_nan=False, separators=(",", ":"))


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(str(key)): _shown(nested) for key, nested in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(nested) for nested in value]
    return value
