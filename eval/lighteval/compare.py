"""Our numbers beside lighteval's, and every sample on which the two graders differ.

Axes: Q questions, S samples a question.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eval.results import verdict_matrix
from eval.samples import VERDICTS, read_rows, verdicts_path
from eval.scores import avg_at_k, pass_at_k
from prefix_rft.errors import DataError

if TYPE_CHECKING:
    from eval.lighteval.export import Evaluation
    from eval.lighteval.run import Report

TOLERANCE = 1e-9
"""Largest difference between the same number computed by both."""
_NAME = re.compile(r"(?:gpqa_)?(?P<metric>avg|pass)@[nk]:(?:k=(?P<k>\d+)&)?n=(?P<n>\d+)")
_SPACE = re.compile(r"\s+|\\[,;!]|\$")

Reason = str
TIMEOUT = "our verdict ran into a limit"
OUTSIDE_A_BOX = "lighteval takes an answer that is in no box"
NO_ANSWER = "lighteval finds no answer"
OTHER_ANSWER = "lighteval reads another answer out of the response"
EQUALITY = "the same answer, judged differently against the gold answer"


@dataclass(frozen=True)
class Disagreement:
    """A sample that the graders judge differently."""

    question_id: str
    sample: int
    gold: str
    ours: bool
    lighteval: bool
    our_answer: str | None
    lighteval_answer: str
    """What it read: its expression, and the text that it comes from."""
    reason: Reason
    """In what the graders differ, as far as their answers show it."""


@dataclass(frozen=True)
class Pair:
    """One metric by both."""

    name: str
    ours: float
    lighteval: float

    @property
    def difference(self) -> float:
        """Lighteval's minus ours."""
        return self.lighteval - self.ours


@dataclass(frozen=True)
class Comparison:
    """One evaluation by both."""

    folder: Path
    task: str
    lighteval: str
    """Its version."""
    questions: int
    """Q."""
    samples: int
    """S."""
    metrics: tuple[Pair, ...]
    """Over all questions."""
    agreeing_questions: int
    """Questions on all of whose samples the graders agree."""
    agreeing: tuple[Pair, ...]
    """Over these questions alone; empty where there are none."""
    unexplained: float
    """Largest difference that remains where our formulas get lighteval's verdicts: 0 but for rounding."""
    disagreements: tuple[Disagreement, ...]

    @property
    def same(self) -> bool:
        """Whether the numbers differ by nothing but the listed disagreements."""
        largest = max((abs(pair.difference) for pair in self.agreeing), default=0.0)
        return max(largest, self.unexplained) <= TOLERANCE

    @property
    def reasons(self) -> dict[Reason, int]:
        """Disagreements by reason, the most frequent first."""
        return dict(Counter(item.reason for item in self.disagreements).most_common())

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        values = asdict(self) | {"folder": str(self.folder), "same": self.same, "reasons": self.reasons}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def compare(evaluation: Evaluation, report: Report, version: str) -> Comparison:
    """Our verdicts and lighteval's on the same samples.

    Args:
        evaluation: with verdicts.
        report: lighteval's on its samples.
        version: lighteval's.

    Raises:
        DataError: lighteval judged other samples, or a file is damaged.
    """
    ids, ours_QS = verdict_matrix(evaluation.folder)
    theirs_QS = _theirs(ids, ours_QS.shape[1], report)
    named = {ours: theirs for theirs in report.metrics if (ours := _our_name(theirs)) is not None}
    agree_Q = (ours_QS == theirs_QS).all(axis=1)
    agreed = [name for name, agrees in zip(ids, agree_Q, strict=True) if agrees]
    metrics = [Pair(name, _value(name, ours_QS), report.metrics[named[name]]) for name in named]
    return Comparison(
        folder=evaluation.folder,
        task=evaluation.task,
        lighteval=version,
        questions=len(ids),
        samples=ours_QS.shape[1],
        metrics=tuple(metrics),
        agreeing_questions=len(agreed),
        agreeing=tuple(_agreeing(named, ours_QS[agree_Q], agreed, report)) if agreed else (),
        unexplained=max(abs(_value(pair.name, theirs_QS) - pair.lighteval) for pair in metrics),
        disagreements=tuple(_disagreements(evaluation, ids, theirs_QS, report)),
    )


def _theirs(ids: Sequence[str], samples: int, report: Report) -> NDArray[np.bool_]:
    counts = {name: len(said.verdicts) for name, said in report.problems.items()}
    if counts != dict.fromkeys(ids, samples):
        raise DataError(
            f"lighteval judged {sum(counts.values())} samples of {len(counts)} problems, not {samples} of each of the "
            f"{len(ids)} problems asked"
        )
    return np.array([report.problems[name].verdicts for name in ids], dtype=np.bool_)


def _our_name(theirs: str) -> str | None:
    found = _NAME.fullmatch(theirs)
    return f"{found['metric']}@{found['k'] or found['n']}" if found else None


def _value(name: str, correct_QS: NDArray[np.bool_]) -> float:
    kind, k = name.split("@")
    return avg_at_k(correct_QS) if kind == "avg" else pass_at_k(correct_QS, int(k))


def _agreeing(
    named: Mapping[str, str], ours_QS: NDArray[np.bool_], ids: Sequence[str], report: Report
) -> list[Pair]:
    """The metrics over some problems: ours by our formulas, lighteval's as the mean of its numbers for each."""
    return [
        Pair(
            name, _value(name, ours_QS), float(np.mean([report.problems[id_].metrics[theirs] for id_ in ids]))
        )
        for name, theirs in named.items()
    ]


def _disagreements(
    evaluation: Evaluation, ids: Sequence[str], theirs_QS: NDArray[np.bool_], report: Report
) -> list[Disagreement]:
    gold = {problem.id: problem.answer for problem in evaluation.problems}
    row_of = {name: row for row, name in enumerate(ids)}
    found = []
    for verdicts in read_rows(verdicts_path(evaluation.folder), VERDICTS):
        for verdict in verdicts:
            theirs = bool(theirs_QS[row_of[verdict.question_id], verdict.sample])
            if theirs != verdict.correct:
                answer = report.problems[verdict.question_id].answers[verdict.sample]
                found.append(
                    Disagreement(
                        question_id=verdict.question_id,
                        sample=verdict.sample,
                        gold=gold[verdict.question_id],
                        ours=verdict.correct,
                        lighteval=theirs,
                        our_answer=verdict.extracted,
                        lighteval_answer=answer,
                        reason=reason_of(verdict.status, verdict.extracted, answer),
                    )
                )
    return found


def reason_of(status: str, ours: str | None, lighteval: str) -> Reason:
    """In what two graders differ on a response.

    Args:
        status: of our verdict.
        ours: the answer that we read.
        lighteval: the answers that it read, separated by bars.
    """
    if status in ("timeout", "out_of_memory", "crashed"):
        return TIMEOUT
    if ours is None:
        return OUTSIDE_A_BOX
    if not lighteval:
        return NO_ANSWER
    read = {_bare(answer) for answer in lighteval.split(" | ")}
    return EQUALITY if _bare(ours) in read else OTHER_ANSWER


def _bare(answer: str) -> str:
    return _SPACE.sub("", answer).rstrip(".")
