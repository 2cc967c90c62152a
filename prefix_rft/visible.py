"""Text of any origin made fit for a terminal, a log or a page: nothing in it is invisible or moves the cursor."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff]"
)
"""Control characters but tab and new line, what turns the direction of reading or takes no room, lone surrogates."""


def visible(text: str, keep: str = "") -> str:
    """The text with every character that would not show itself written as its code point: [U+001B].

    Args:
        text: from a data set, a model, a file, a server.
        keep: characters that stay what they are.
    """
    return _UNSEEN.sub(
        lambda found: found.group() if found.group() in keep else f"[U+{ord(found.group()):04X}]",
        text.replace("\r\n", "\n"),
    )


def spreadsheet_text(text: str) -> str:
    """A cell of a CSV file that no spreadsheet takes for a formula: a quotation mark before what would begin one."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
