"""What a benchmark and a problem are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from prefix_rft.settings.base import Settings

AnswerKind = Literal["integer", "number", "expression", "choice"]
"""integer: a whole number; number: with decimals, powers of ten, or a short formula; expression: any formula; choice:
the letter of an option."""
Choices = Literal["arc", "gpqa", "mmlu_pro"]
"""Whose columns hold the options of a multiple-choice problem (`eval.benchmarks.choices`)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem with its gold answer."""

    id: str
    """The manifest's name for it, wherever the text came from."""
    problem: str
    """What is asked, options included, without any instruction."""
    answer: str
    """The gold answer."""
    meta: Mapping[str, object] = field(default_factory=dict)
    """Whatever else the source says of it."""


class HubSource(Settings):
    """A copy of the benchmark on the Hugging Face hub, and which columns hold what."""

    repository: str
    """owner/name."""
    config: str | None = None
    """Configuration of the data set, where it has several."""
    split: str
    """The split that holds the problems."""
    revision: str | None = None
    """Commit; None takes the newest content, where no commit is known."""
    id: str | None = None
    """Column with the problem's name; None counts the rows from 0."""
    problem: str = "problem"
    """Column with the problem's text."""
    answer: str = "answer"
    """Column with the gold answer: a text, a number, or a list of one text."""
    choices: Choices | None = None
    """For multiple choice: the layout of the options."""
    note: str = ""
    """What is known of how this copy differs, or what it takes to read it."""


class Benchmark(Settings):
    """A set of problems that papers report under one name."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    """Name in settings and folders."""
    title: str
    """Name in tables."""
    group: Literal["mathematics", "general"]
    """Which part of a results table it belongs to."""
    problems: int = Field(ge=1)
    """How many problems it has."""
    answer: AnswerKind
    """What a gold answer is."""
    samples: int = Field(ge=1)
    """Samples a problem in the family of papers that this project reproduces."""
    digest: str | None
    """Content hash (`eval.benchmarks.digests`), or None where nobody has read a copy with this project: then only the
    number of problems is checked, and every score says so."""
    file: str
    """Name of the local JSONL file: rows with id, problem, answer."""
    hub: HubSource
    """Where the hub has a copy."""
    scientific: bool = False
    """Whether gold answers may be in e-notation, so that a second, normalised score is reported."""
    source: str
    """Where the count, and the content behind the digest, come from."""
