"""Responses that somebody else has labelled right or wrong, and how far our grades agree with the labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefix_rft.errors import DataError
from prefix_rft.grading.strings import same_formula
from prefix_rft.grading.verdict import Grade
from prefix_rft.settings.grading import ExtractionRule

RULES: tuple[ExtractionRule, ...] = ("last_boxes", "after_marker", "conclusion", "last_line")
"""For responses of any kind, with the marker `####`: boxes, GSM8K's endings, answers in a sentence, bare ones."""

Kind = Literal[
    "label looks wrong",
    "equal only as mathematics",
    "no answer found",
    "another answer extracted",
    "notation not read",
    "values differ",
    "row asks for other rules",
    "timeout",
    "out_of_memory",
    "crashed",
    "error",
]

KINDS: dict[Kind, str] = {
    "label looks wrong": "labelled wrong, yet gold and answer are the same string",
    "equal only as mathematics": "labelled wrong; written differently, equal to math-verify",
    "no answer found": "labelled correct; no extraction rule finds an answer (or the box is never closed)",
    "another answer extracted": "the label's own grader took another part of the response for the answer",
    "notation not read": "labelled correct; math-verify cannot read the gold answer or the response's",
    "values differ": "labelled correct; both were read and are not equal (or the label is wrong)",
    "row asks for other rules": "the row sets options of its own comparison, which are not applied",
    "timeout": "the comparison took longer than the limit",
    "out_of_memory": "the comparison took more memory than the limit",
    "crashed": "the comparison ended its process",
    "error": "math-verify failed on the comparison",
}
"""Why a grade and a label differ, and what each of these means."""


@dataclass(frozen=True)
class Labelled:
    """A labelled response; `extracted` is what the label's own grader found, if the file says so."""

    id: str
    gold: str
    response: str
    correct: bool
    extracted: str | None = None
    has_options: bool = False


@dataclass(frozen=True)
class Disagreement:
    """A response whose grade is not its label."""

    row: Labelled
    grade: Grade
    kind: Kind


@dataclass(frozen=True)
class Agreement:
    """How the grades of one file, or of several, compare with its labels."""

    rows: int
    false_positives: int
    false_negatives: int
    statuses: Counter[str]
    disagreements: tuple[Disagreement, ...]

    @property
    def share(self) -> float:
        """Share of rows whose grade is the label."""
        return 1 - len(self.disagreements) / self.rows

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.rows + other.rows,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.statuses + other.statuses,
            self.disagreements + other.disagreements,
        )


def compare(rows: Sequence[Labelled], grades: Sequence[Grade]) -> Agreement:
    """Agreement of grades with the labels of the same rows."""
    pairs = list(zip(rows, grades, strict=True))
    disagreements = tuple(
        Disagreement(row, grade, kind_of(row, grade)) for row, grade in pairs if row.correct != grade.correct
    )
    positives = sum(item.grade.correct for item in disagreements)
    statuses: Counter[str] = Counter(grade.status for grade in grades)
    return Agreement(len(rows), positives, len(disagreements) - positives, statuses, disagreements)


def kind_of(row: Labelled, grade: Grade) -> Kind:
    """The first reason of `KINDS` that explains why this grade is not the row's label."""
    if grade.status in ("timeout", "out_of_memory", "crashed", "error"):
        return grade.status
    if grade.extracted is None:
        return "no answer found"
    if row.has_options:
        return "row asks for other rules"
    if grade.correct and same_formula(row.gold, grade.extracted):
        return "label looks wrong"
    if row.extracted is not None and not same_formula(row.extracted, grade.extracted):
        return "another answer extracted"
    if grade.correct:
        return "equal only as mathematics"
    return "notation not read" if grade.status == "unparsed" else "values differ"


def load_labelled(path: Path) -> list[Labelled]:
    """Rows of a JSONL file with the fields gold, response, correct, and where given id, extracted, options.

    A byte order mark, CRLF line ends and blank lines are accepted.

    Raises:
        DataError: the file is unreadable, not UTF-8 or without rows, or a row is malformed (its number and
        field).
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}. Name a JSONL file of labelled responses."
        ) from error
    except UnicodeDecodeError as error:
        row = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, row {row}: byte {error.object[error.start]:#04x} is not UTF-8. Convert the file."
        ) from error
    lines = text.split("\n")  # not splitlines: JSON may hold U+2028 and its like inside a string
    rows = [_row(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise DataError(
            f"{path} has no rows: every line should be an object with gold, response and correct."
        )
    return rows


def _row(path: Path, number: int, line: str) -> Labelled:
    where = f"{path}, row {number}"
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}). Every line should be one JSON object.") from error
    if not isinstance(fields, dict):
        raise DataError(f"{where}: should be a JSON object with gold, response and correct.")
    gold = _field(where, fields, "gold", str)
    if not gold.strip():
        raise DataError(f"{where}: field 'gold' is empty; a response cannot be graded without a gold answer.")
    extracted = fields.get("extracted")
    return Labelled(
        id=str(fields.get("id", number)),
        gold=gold,
        response=_field(where, fields, "response", str),
        correct=_field(where, fields, "correct", bool),
        extracted=extracted if isinstance(extracted, str) else None,
        has_options=bool(fields.get("options")),
    )


def _field(where: str, fields: dict[str, Any], name: str, kind: type) -> Any:
    if name not in fields:
        raise DataError(f"{where}: field {name!r} is missing. Fields here: {', '.join(fields) or 'none'}.")
    value = fields[name]
    if not isinstance(value, kind):
        wanted = "true or false" if kind is bool else "text"
        raise DataError(
            f"{where}: field {name!r} should be {wanted}, not {type(value).__name__} ({value!r:.40})."
        )
    return value
