"""One question as a sampler gets it: as token ids, as rendered text, and as messages."""

from __future__ import annotations

from dataclasses import dataclass

from prefix_rft.data.schema import Message


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked; a sampler takes the form it understands."""

    id: str
    """The question's id."""
    ids: tuple[int, ...] | None = None
    """Token ids, where the model's tokenizer is at hand."""
    text: str | None = None
    """The rendered text, chat template applied."""
    messages: tuple[Message, ...] = ()
    """For endpoints that apply the template themselves."""
