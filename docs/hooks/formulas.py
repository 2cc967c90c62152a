"""Formulas become MathML when the site is built: no script, no font and no network when it is read.

They are written as GitHub reads them too: a fenced block ```` ```math ````, or between $` and `$ in a line.
"""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

_BLOCK = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"\$`([^`\n]+)`\$")
_HELD = re.compile("\ue000(\\d+)\ue001")
_made: list[str] = []
"""MathML by number; Markdown would read some of its characters as its own, so that pages hold the numbers meanwhile."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put a number in the place of each formula."""

    def block(match: re.Match[str]) -> str:
        return f'<div class="formula">{_hold(match[1], "block", page.file.src_uri)}</div>'

    text = _BLOCK.sub(block, markdown)
    return _INLINE.sub(lambda match: _hold(match[1], "inline", page.file.src_uri), text)


def on_page_content(html: str, **_: Any) -> str:
    """Put the formulas in the places of their numbers."""
    return _HELD.sub(lambda match: _made[int(match[1])], html)


def _hold(latex: str, display: str, page: str) -> str:
    try:
        mathml = convert(latex.strip(), display=display)
    except Exception as error:
        raise PluginError(f"{page}: the formula {latex.strip()!r} cannot be read: {error!r}") from error
    # A command that it does not know comes out as its name.
    if unknown := re.search(r"\\[A-Za-z]+|&amp;|>&<", mathml):
        raise PluginError(f"{page}: the formula {latex.strip()!r} leaves {unknown[0]!r} unread")
    _made.append(mathml)
    return f"\ue000{len(_made) - 1}\ue001"
