"""The evaluation stage: samples, verdicts, scores; killed anywhere, it goes on where it was.

Axes: Q questions, S samples a question, B rows (one sample each).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from eval.collect import Collection
from eval.protocol import ProtocolError, ProtocolRecord, content_digest, same_protocol
from eval.results import Claim, Scores, claim, score, write_scores
from eval.sampler import Decoding, Sampler
from eval.samples import SAMPLES, VERDICTS, Sample, Verdict, read_rows, samples_path
from eval.shelf import Shelf
from prefix_rft.errors import DataError
from prefix_rft.settings.evaluation import EvaluationSettings

if TYPE_CHECKING:
    from eval.prompts import Prompt
    from prefix_rft.data.schema import Question
    from prefix_rft.grading import Grade

Progress = Callable[[str, int, int], None]
"""Told `sampling` or `grading`, questions done, and questions in all."""

GRADED_TOGETHER = 4096
"""Responses whose verdicts make one part: what a kill during grading can cost."""


class Grader(Protocol):
    """The half of a grader that an evaluation needs."""

    def grade(self, pairs: Sequence[tuple[str, str]]) -> list[Grade]:
        """A verdict on each (gold answer, response), in order."""


def evaluate(
    folder: Path,
    questions: Sequence[Question],
    prompts: Sequence[Prompt],
    sampler: Sampler,
    grader: Grader,
    record: ProtocolRecord,
    settings: EvaluationSettings,
    max_new: int,
    progress: Progress | None = None,
    again: str = "Run the same command again",
) -> Scores:
    """Sample, grade and score one policy on these questions.

    What is already in the folder is kept: only missing samples are made and only ungraded responses graded.
    The result equals that of an uninterrupted evaluation, since a sample depends on (seed, question id,
    sample index) and the weights alone.

    Args:
        folder: holds samples.parquet, verdicts.parquet, scores.json and protocol.json afterwards.
        questions: the questions with their gold answers.
        prompts: the same questions as the sampler gets them, in the same order.
        sampler: writes the responses.
        grader: gives the verdicts.
        record: the protocol that the scores will carry (`eval.protocol.describe`).
        settings: samples, decoding, seed, and the k of pass@k.
        max_new: longest response in tokens.
        progress: called after every batch.
        again: how to ask for samples that are missing in the end, e.g. "Run `<command>` again".

    Raises:
        ProtocolError: `record` describes something else than is asked for, or the folder holds samples of
            another protocol or another subject.
        DataError: there is no question, prompts and questions disagree, or a file in the folder is damaged.
        RunError: the disk is full or refuses; what was written before is still there.
        SamplingError: the sampler could not make all samples; those it made are kept.
    """
    _must_belong_together(questions, prompts)
    _must_describe(record, questions, sampler, settings, max_new)
    claim(folder, Claim(subject=sampler.subject, protocol=record))
    tell = progress or _silent
    decoding = Decoding(max_new, settings.temperature, settings.top_p)
    Collection(folder, prompts, settings.samples, settings.seed, decoding, tell, again).complete(sampler)
    _grade(folder, questions, grader, settings.samples, tell)
    scores = score(folder, record, sampler.subject, settings.pass_at)
    write_scores(folder, scores)
    return scores


def _grade(folder: Path, questions: Sequence[Question], grader: Grader, samples: int, tell: Progress) -> None:
    """Grade every response without a verdict."""
    shelf = Shelf(folder, VERDICTS)
    pairs = [(question.id, index) for question in questions for index in range(samples)]
    if shelf.finished:
        shelf.must_hold(len(pairs))
        return
    held = shelf.pairs(pairs)
    answer_of = {question.id: question.answer for question in questions}
    for rows in read_rows(samples_path(folder), SAMPLES, GRADED_TOGETHER):
        missing = [row for row in rows if (row.question_id, row.sample) not in held]
        if missing:
            grades = grader.grade([(answer_of[row.question_id], row.response) for row in missing])
            shelf.add([_verdict(row, grade) for row, grade in zip(missing, grades, strict=True)])
            held.update((row.question_id, row.sample) for row in missing)
        tell("grading", len(held) // samples, len(questions))
    shelf.finish(pairs)


def _verdict(row: Sample, grade: Grade) -> Verdict:
    return Verdict(row.question_id, row.sample, grade.correct, grade.status, grade.extracted)


def _must_belong_together(questions: Sequence[Question], prompts: Sequence[Prompt]) -> None:
    if not questions:
        raise DataError("there is no question to evaluate on")
    repeated = [name for name, count in Counter(question.id for question in questions).items() if count > 1]
    if repeated:
        raise DataError(f"question {repeated[0]!r} stands more than once among the questions to evaluate on")
    for question, prompt in zip(questions, prompts, strict=False):
        if question.id != prompt.id:
            raise DataError(f"question {question.id!r} was encoded as {prompt.id!r}: the orders differ")
    if len(questions) != len(prompts):
        raise DataError(f"there are {len(questions)} questions but {len(prompts)} encoded prompts")


def _must_describe(
    record: ProtocolRecord,
    questions: Sequence[Question],
    sampler: Sampler,
    settings: EvaluationSettings,
    max_new: int,
) -> None:
    """Refuse a record that says something else than what is about to happen."""
    happening = {
        "questions": len(questions),
        "content": content_digest(questions),
        "samples": settings.samples,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_tokens": max_new,
        "seed": settings.seed,
        "sampler": sampler.name,
        "sampler_version": sampler.version,
    }
    try:
        same_protocol([record, record.model_copy(update=happening)])
    except ProtocolError as error:
        raise ProtocolError(f"the record is not that of this evaluation: {error}") from None


def _silent(stage: str, done: int, total: int) -> None:
    """No one watches."""
