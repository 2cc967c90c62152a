"""What is found in the rows of a published data set, and how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal[
    "bad row",
    "repeated question",
    "other answer",
    "long prompt",
    "no target",
    "long demonstration",
    "wrong demonstration",
    "undecided demonstration",
    "no demonstration left",
]
"""What can be found in a row.

bad row: it cannot be read as a question; repeated question: an earlier row asks the same; other answer: and that row
has another gold answer; no target: it comes without a demonstration; long: beyond the token budget, or otherwise no
response (docs/data.md, Tokens); wrong: the grader's verdict; undecided: the grader ran into a limit; no demonstration
left: the question went since its demonstrations did.
"""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Finding:
    """One thing found in one row."""

    kind: Kind
    row: int
    """Counted from 1."""
    id: str
    """Of the question; "" where it has none."""
    reason: str
    kept: bool
    """Whether what it was found in is in the output all the same."""


@dataclass
class Judged:
    """What was found so far, over all batches."""

    rows: int = 0
    questions: int = 0
    """Rows that are in the output."""
    demonstrations: int = 0
    correct: int = 0
    """Demonstrations in the output that the grader finds right."""
    found: list[Finding] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    """Of every question in the output."""
    demonstration_tokens: list[int] = field(default_factory=list)
    """Of every demonstration in the output, end-of-sequence token included."""

    @property
    def counts(self) -> dict[Kind, int]:
        """Findings by kind, kinds without any included."""
        counted = Counter(item.kind for item in self.found)
        return {kind: counted[kind] for kind in KINDS}
