"""Parts of a report inside a notebook: its tables with their texts, its figures with their captions, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any

from analysis.render import markdown_text
from analysis.results import Results
from analysis.sections import Section, sections

if TYPE_CHECKING:
    from analysis.drawing import Picture

_PIXELS_AN_INCH = 150
"""Width on the screen; figures are drawn for columns of 3.35 inches and small letters."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What a report of these results would hold; everything is made when it is first asked for, and once."""

    results: Results
    heading: str
    """Said in the captions of tables."""
    date: str
    """Likewise."""

    @cached_property
    def tables(self) -> Mapping[str, Section]:
        """By the key of `analysis.sections`."""
        return {part.key: part for part in sections(self.results, self.heading, self.date)}

    @cached_property
    def _drawn(self) -> dict[str, Picture]:
        return {}

    @cached_property
    def _coming(self) -> Iterator[Picture]:
        """Figures that nobody has asked for yet: all of a sweep take seconds."""
        if not self.results.evaluations:
            return iter(())
        from analysis.figures import pictures  # matplotlib takes a second to load

        return pictures(self.results)

    def figure(self, name: str) -> Picture | None:
        """The figure that `analysis.figures.pictures` gives by this name; None where it gives none."""
        while name not in self._drawn:
            picture = next(self._coming, None)
            if picture is None:
                return None
            self._drawn[picture.name] = picture
        return self._drawn[name]

    def show(self, *names: str) -> None:
        """Display parts below the cell.

        What these runs do not give is said in words, with what they give: a sweep that is not trained yet leaves
        no traceback.
        """
        for name in names:
            for shown in self._displayed(name):
                _ipython().display(shown)

    def _displayed(self, name: str) -> Iterator[Any]:
        if name in self.tables:
            return _of_section(self.tables[name])
        picture = self.figure(name)
        return self._of_nothing(name) if picture is None else _of_picture(picture)

    def _of_nothing(self, name: str) -> Iterator[Any]:
        results = self.results
        count = f"{len(results.evaluations)} of {len(results.runs)} runs of {results.sweep or 'the choice'}"
        given = ", ".join([*self.tables, *self._drawn])
        yield _paragraph(f"No part {name!r} here: {count} are evaluated. They give: {given}.")


def png(picture: Picture) -> bytes:
    """The figure's pixels; the same figure gives the same bytes."""
    import matplotlib as mpl

    from analysis.style import RC

    buffer = BytesIO()
    with mpl.rc_context(RC):
        picture.figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _of_section(part: Section) -> Iterator[Any]:
    if part.text:
        yield _paragraph(part.text)
    yield part.table if part.table.rows else replace(part.table, columns=())
    if part.after:
        yield _paragraph(part.after)


def _of_picture(picture: Picture) -> Iterator[Any]:
    width = round(picture.figure.get_size_inches()[0] * _PIXELS_AN_INCH)
    yield _ipython().Image(png(picture), width=width, alt=picture.name.replace("_", " "))
    yield _paragraph(picture.caption)


def _paragraph(text: str) -> Any:
    return _ipython().Markdown(markdown_text(text))


def _ipython() -> Any:
    """What displays; it has no types, and outside notebooks nothing needs it."""
    from IPython import display

    return display
