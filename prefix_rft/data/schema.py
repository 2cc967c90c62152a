"""What a question, a demonstration and a data set are, whatever file they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal["system", "user", "assistant"]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Message(_Record):
    """One turn of the conversation that asks a question."""

    role: Role
    content: str


class Demonstration(_Record):
    """A response that somebody else wrote."""

    text: str = Field(min_length=1)
    correct: bool | None = None
    """Whether it ends in the right answer; None where nobody has said."""
    source: str = ""
    """Who wrote it, or the column it stood in."""


class Question(_Record):
    """A question with its gold answer and the demonstrations there are."""

    id: str = Field(min_length=1)
    messages: tuple[Message, ...]
    answer: str = Field(min_length=1)
    demonstrations: tuple[Demonstration, ...] = ()
    split: Split = "train"

    @model_validator(mode="after")
    def asks(self) -> Self:
        if not self.messages or self.messages[-1].role != "user":
            raise ValueError("a question ends in a user message")
        return self

    @property
    def text(self) -> str:
        """What is asked: the last user message, which tells two questions apart."""
        return self.messages[-1].content


class BadRow(_Record):
    """A row that cannot be used, and why."""

    file: str
    row: int
    """Counted from 1: the line of a JSONL file, the row of a parquet file or hub split."""
    field: str
    """The column, or "" where the whole row is at fault."""
    reason: str

    def __str__(self) -> str:
        field = f", field {self.field!r}" if self.field else ""
        return f"{self.file}, row {self.row}{field}: {self.reason}"


@dataclass(frozen=True)
class Dataset:
    """Questions of the three splits, in the order in which training sees them."""

    train: tuple[Question, ...]
    validation: tuple[Question, ...]
    test: tuple[Question, ...]
    skipped: tuple[BadRow, ...] = ()
    """Rows left out: bad ones, where `skip_bad_rows` allows it, and repeats of held-out questions."""

    def split(self, name: Split) -> tuple[Question, ...]:
        """The questions of one split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    @cached_property
    def digest(self) -> str:
        """SHA-256 (64 hex digits) of everything that training or evaluation can see, order included."""
        state = hashlib.sha256()
        for name in SPLITS:
            for part in _parts(name, self.split(name)):
                raw = part.encode()
                state.update(len(raw).to_bytes(8, "big"))
                state.update(raw)
        return state.hexdigest()


def _parts(split: Split, questions: tuple[Question, ...]) -> Iterator[str]:
    """Every text of a split with the counts that make the sequence unambiguous."""
    yield split
    yield str(len(questions))
    for question in questions:
        yield question.id
        yield question.answer
        yield str(len(question.messages))
        for message in question.messages:
            yield message.role
            yield message.content
        yield str(len(question.demonstrations))
        for demonstration in question.demonstrations:
            yield demonstration.text
            yield str(demonstration.correct)
