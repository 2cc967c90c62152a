"""What a data set holds and what is wrong with it: counts, correct demonstrations, answers, lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefix_rft.data.encode import Encoder, SkippedQuestion, encode_questions
from prefix_rft.data.schema import SPLITS, BadRow, Dataset, Question, Split

if TYPE_CHECKING:
    from prefix_rft.grading import Grader
    from prefix_rft.settings.data import DataSettings

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and how many there are."""


@dataclass(frozen=True)
class SplitCheck:
    """One split."""

    split: Split
    questions: int
    with_demonstration: int
    """Questions that have at least one."""
    demonstrations: int
    correct: int
    """Demonstrations that end in the right answer: as the source says, else by the grader."""
    repeated: int
    """Questions whose text an earlier question of the split has already."""
    string_only: tuple[str, ...]
    """Ids of questions whose gold answer math-verify cannot read: only the same string is correct."""
    unfit: tuple[SkippedQuestion, ...]
    """Prompts, and training demonstrations, beyond the token budgets; empty without an encoder."""


@dataclass(frozen=True)
class DataCheck:
    """All splits, and the rows that were left out while reading."""

    splits: tuple[SplitCheck, ...]
    skipped: tuple[BadRow, ...]
    digest: str

    @property
    def clean(self) -> bool:
        """Whether nothing was left out and everything fits."""
        return not self.skipped and not any(split.unfit for split in self.splits)


def check(
    dataset: Dataset,
    settings: DataSettings,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> DataCheck:
    """Look at everything in a data set.

    Args:
        dataset: what `load` gave.
        settings: the grading and the token budgets.
        encoder: measures lengths; None leaves them unmeasured.
        progress: called now and then, for one kind of work in one split after the other.
    """
    from prefix_rft.grading import make_grader

    tell = progress or _silent
    with make_grader(settings.grading) as grader:
        splits = tuple(_check(name, dataset.split(name), settings, grader, encoder, tell) for name in SPLITS)
    return DataCheck(splits, dataset.skipped, dataset.digest)


def _check(
    name: Split,
    questions: Sequence[Question],
    settings: DataSettings,
    grader: Grader,
    encoder: Encoder | None,
    tell: Progress,
) -> SplitCheck:
    return SplitCheck(
        split=name,
        questions=len(questions),
        with_demonstration=sum(bool(question.demonstrations) for question in questions),
        demonstrations=sum(len(question.demonstrations) for question in questions),
        correct=_correct(name, questions, grader, tell),
        repeated=sum(times - 1 for times in Counter(question.text for question in questions).values()),
        string_only=_string_only(name, questions, settings, grader, tell),
        unfit=() if encoder is None else _unfit(name, questions, settings, encoder, tell),
    )


def _correct(name: Split, questions: Sequence[Question], grader: Grader, tell: Progress) -> int:
    stated = sum(item.correct is True for question in questions for item in question.demonstrations)
    unstated = [
        (question.answer, item.text)
        for question in questions
        for item in question.demonstrations
        if item.correct is None
    ]
    grades = grader.grade(unstated, lambda done: tell(f"{name}: demonstrations graded", done, len(unstated)))
    return stated + sum(grade.correct for grade in grades)


def _string_only(
    name: Split, questions: Sequence[Question], settings: DataSettings, grader: Grader, tell: Progress
) -> tuple[str, ...]:
    if settings.grading.verifier == "exact":
        return ()
    golds = [question.answer for question in questions]
    distinct = len(set(golds))
    verdicts = grader.check_golds(golds, lambda done: tell(f"{name}: answers read", done, distinct))
    pairs = zip(questions, verdicts, strict=True)
    return tuple(question.id for question, verdict in pairs if verdict != "parsed")


def _unfit(
    name: Split, questions: Sequence[Question], settings: DataSettings, encoder: Encoder, tell: Progress
) -> tuple[SkippedQuestion, ...]:
    lenient = settings.model_copy(update={"skip_bad_rows": True})
    return encode_questions(
        questions,
        encoder,
        lenient,
        with_demonstrations=name == "train",
        progress=lambda done: tell(f"{name}: lengths measured", done, len(questions)),
    ).skipped


def _silent(what: str, done: int, total: int) -> None:
    """No one watches."""
