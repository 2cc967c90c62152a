"""Text of any origin made fit for a page: nothing in it is invisible, nothing in it is markup or script."""

from __future__ import annotations

import json
import re
from typing import Any

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff]"
)
"""Control characters but tab and new line, what turns the direction of reading or takes no room, lone surrogates."""
_ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def visible(text: str) -> str:
    """The text with every character that would not show itself written as its code point."""
    return _UNSEEN.sub(lambda found: f"[U+{ord(found.group()):04X}]", text.replace("\r\n", "\n"))


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
