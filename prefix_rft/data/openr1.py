"""Rows in LUFFY's layout (Elliott/Openr1-Math-46k-8192) become questions that are measured, graded and sorted out.

Rows are judged in batches; what is remembered of those that are done is an id, a digest and a few numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefix_rft.data.convert import from_luffy
from prefix_rft.data.encode import Encoder, encode_questions
from prefix_rft.data.findings import Finding, Judged, Kind
from prefix_rft.data.rows import NumberedRow, RowError
from prefix_rft.data.schema import Demonstration, Question
from prefix_rft.settings.data import HubData
from prefix_rft.settings.preparation import PreparationRules

if TYPE_CHECKING:
    from prefix_rft.grading import Grader

_DECIDED = ("ok", "unparsed", "no_answer")
"""Statuses of a grade that say something of the answer."""


@dataclass
class _Taught:
    """A demonstration under judgement."""

    text: str
    tokens: int = 0
    fault: str | None = None
    """Why it is no response of the length allowed."""
    correct: bool | None = None
    verdict: str = ""


@dataclass
class _Candidate:
    number: int
    question: Question
    taught: list[_Taught]
    prompt_tokens: int = 0
    fault: str | None = None
    """Why the prompt cannot be used."""


class Judge:
    """Judges batches of rows, in order; `found` adds up over all of them."""

    def __init__(self, settings: HubData, rules: PreparationRules, encoder: Encoder, grader: Grader) -> None:
        """Nothing is read yet.

        Args:
            settings: the token budgets, how ids are made, and what messages are changed.
            rules: what becomes of what is found.
            encoder: measures prompts and demonstrations as training will.
            grader: says which demonstrations are right.
        """
        self._settings = settings.model_copy(update={"skip_bad_rows": True})
        self._rules, self._encoder, self._grader = rules, encoder, grader
        self._row_of_id: dict[str, int] = {}
        self._first: dict[bytes, tuple[str, str]] = {}
        """By the digest of its text, a question's id and answer."""
        self.judged = Judged()

    def batch(self, rows: Sequence[NumberedRow]) -> list[dict[str, Any]]:
        """The output's rows for these rows of the source."""
        candidates = [found for number, row in rows if (found := self._read(number, row))]
        self._measure(candidates)
        usable = [candidate for candidate in candidates if candidate.fault is None]
        self._grade([(item.question.answer, each) for item in usable for each in item.taught])
        self.judged.rows += len(rows)
        return [line for candidate in candidates if (line := self._decide(candidate))]

    def _read(self, number: int, row: Any) -> _Candidate | None:
        try:
            if isinstance(row, RowError):
                raise row
            question = from_luffy(row, number, "train", self._settings)
            self._remember(question.id, number)
        except RowError as error:
            where = f"field {error.field!r}: " if error.field else ""
            self._find("bad row", number, "", f"{where}{error.reason}", kept=False)
            return None
        if self._repeats(question, number) and self._rules.repeated_question == "drop":
            return None
        return _Candidate(number, question, [_Taught(item.text) for item in question.demonstrations])

    def _remember(self, name: str, number: int) -> None:
        if name in self._row_of_id:
            raise RowError(
                "extra_info.index",
                f"the id {name!r} is already that of row {self._row_of_id[name]} (data.ids=row numbers the rows)",
            )
        self._row_of_id[name] = number

    def _repeats(self, question: Question, number: int) -> bool:
        """Whether an earlier row has this question's text."""
        digest = hashlib.sha256(question.text.encode()).digest()
        if digest not in self._first:
            self._first[digest] = question.id, question.answer
            return False
        name, answer = self._first[digest]
        kept = self._rules.repeated_question == "keep"
        self._find("repeated question", number, question.id, f"the question of {name}", kept=kept)
        if answer != question.answer:
            reason = f"{question.answer!r}, but {answer!r} for the same question in {name}"
            self._find("other answer", number, question.id, reason, kept=kept)
        return True

    def _measure(self, candidates: Sequence[_Candidate]) -> None:
        """Lengths and faults by the rules that training has, of one demonstration at a time."""
        asked = list(_one_by_one(candidates))
        encoded = encode_questions([question for question, _, _ in asked], self._encoder, self._settings)
        tokens = {item.id: item for item in encoded.questions}
        faults = {item.id: item for item in encoded.skipped}
        for question, candidate, taught in asked:
            fault = faults.get(question.id)
            if fault is not None and fault.field == "prompt":
                candidate.fault = fault.reason
                continue
            measured = tokens[question.id]
            candidate.prompt_tokens = len(measured.prompt)
            if taught is not None:
                taught.fault = None if fault is None else fault.reason
                taught.tokens = len(measured.demonstration or ())

    def _grade(self, pairs: Sequence[tuple[str, _Taught]]) -> None:
        """A verdict on every demonstration, whatever the source says of it."""
        for (_, taught), grade in zip(
            pairs, self._grader.grade([(gold, taught.text) for gold, taught in pairs]), strict=True
        ):
            taught.correct = grade.correct if grade.status in _DECIDED else None
            found = "no answer found" if grade.extracted is None else f"answer {grade.extracted!r}"
            taught.verdict = found if taught.correct is not None else f"{found}, {grade.status}"

    def _decide(self, candidate: _Candidate) -> dict[str, Any] | None:
        """The output's row, or None where the question goes."""
        question, rules = candidate.question, self._rules
        if candidate.fault is not None:
            self._find("long prompt", candidate.number, question.id, candidate.fault, kept=False)
            return None
        if not candidate.taught:
            self._find("no target", candidate.number, question.id, "", kept=rules.no_demonstration == "keep")
        kept = [item for item in candidate.taught if self._stays(candidate, item)]
        if rules.long_demonstration == "drop_question" and any(item.fault for item in candidate.taught):
            return None
        if not kept and rules.no_demonstration == "drop":
            if candidate.taught:
                self._find("no demonstration left", candidate.number, question.id, "", kept=False)
            return None
        self._count(candidate, kept)
        return _line(candidate, kept)

    def _stays(self, candidate: _Candidate, taught: _Taught) -> bool:
        """Whether a demonstration is kept; what is wrong with it is noted."""
        number, name = candidate.number, candidate.question.id
        gold = candidate.question.answer
        if taught.fault is not None:
            self._find("long demonstration", number, name, taught.fault, kept=False)
            return False
        if taught.correct is None:
            self._find("undecided demonstration", number, name, f"{taught.verdict}, gold {gold!r}", kept=True)
        if taught.correct is False:
            stays = self._rules.wrong_demonstration == "keep"
            self._find("wrong demonstration", number, name, f"{taught.verdict}, gold {gold!r}", kept=stays)
            return stays
        return True

    def _count(self, candidate: _Candidate, kept: Sequence[_Taught]) -> None:
        self.judged.questions += 1
        self.judged.demonstrations += len(kept)
        self.judged.correct += sum(item.correct is True for item in kept)
        self.judged.prompt_tokens.append(candidate.prompt_tokens)
        self.judged.demonstration_tokens += [item.tokens for item in kept]

    def _find(self, kind: Kind, row: int, name: str, reason: str, *, kept: bool) -> None:
        self.judged.found.append(Finding(kind, row, name, reason, kept))


def _one_by_one(
    candidates: Sequence[_Candidate],
) -> Iterator[tuple[Question, _Candidate, _Taught | None]]:
    """Every question with each of its demonstrations alone, or with none, under names that differ."""
    for index, candidate in enumerate(candidates):
        for place, taught in enumerate(candidate.taught or [None]):
            alone = () if taught is None else (Demonstration(text=taught.text),)
            name = {"id": f"{index}-{place}", "demonstrations": alone}
            yield candidate.question.model_copy(update=name), candidate, taught


def _line(candidate: _Candidate, kept: Sequence[_Taught]) -> dict[str, Any]:
    """One row of the output."""
    question = candidate.question
    return {
        "id": question.id,
        "prompt": [message.model_dump() for message in question.messages],
        "answer": question.answer,
        "demonstrations": [item.text for item in kept],
        "correct": [item.correct for item in kept],
        "prompt_tokens": candidate.prompt_tokens,
        "demonstration_tokens": [item.tokens for item in kept],
    }
