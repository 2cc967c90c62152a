"""A console whose colours are our own: text of data sets, models and errors reaches it without escape codes."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from prefix_rft.visible import visible


class PlainConsole(Console):
    """rich's, which colours and measures; every text that it is given is shown with nothing invisible in it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See rich; a segment that is a control code is rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
