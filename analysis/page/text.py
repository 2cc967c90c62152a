"""Text of any origin made fit for a page: nothing in it is invisible, nothing in it is markup or script."""

from __future__ import annotations

import json
from typing import Any

from prefix_rft.visible import visible as visible

_ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def cut(text: str, longest: int) -> str:
    """At most so many characters, and how many are left out."""
    left = len(text) - longest
    return text if left <= 0 else f"{text[:longest]} [and {left} characters more]"


def script_json(value: Any) -> str:
    """JSON that can stand in a script element: it cannot end the element, open a comment, or break a line.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    text = json.dumps(_shown(value), allow_nan=False, separators=(",", ":"))
    return "".join(_ESCAPES.get(character, character) for character in text)


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(str(key)): _shown(nested) for key, nested in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(nested) for nested in value]
    return value
