"""One run's evaluations as they lie on disk.

Axes: Q questions, S samples a question.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.kept import until_changed
from eval.results import SCORES_FILE, Scores, is_complete, read_scores, verdict_matrix
from eval.samples import SAMPLES, VERDICTS, verdicts_path
from eval.scores import pass_at_k_Q
from prefix_rft.errors import DataError
from prefix_rft.runs.store import RunDir

Floats = NDArray[np.float64]
TABLES = tuple(f"{table.name}.parquet" for table in (SAMPLES, VERDICTS))
"""Files of an evaluation beside its scores."""


@dataclass(frozen=True)
class Evaluation:
    """One run's finished evaluation of one split or benchmark under one protocol."""

    folder: Path
    scores: Scores
    questions: tuple[str, ...]
    """Ids of the Q questions, in the order of the matrix."""
    correct_QS: NDArray[np.bool_]
    """Verdicts."""

    def question_scores(self, metric: str) -> Floats:
        """[Q] avg@k or pass@k of every question."""
        name, _, k = metric.partition("@")
        draws = 1 if name == "avg" else int(k)
        return pass_at_k_Q(self._correct_Q, self.correct_QS.shape[1], draws)

    @cached_property
    def _correct_Q(self) -> NDArray[np.int64]:
        counts_Q: NDArray[np.int64] = self.correct_QS.sum(axis=1, dtype=np.int64)
        return counts_Q


def find_evaluations(run: RunDir, part: str) -> dict[str, Path]:
    """Folders of the run's finished evaluations of a split or benchmark, by protocol folder name."""
    return {path.name: path for path in sorted((run.path / "eval" / part).glob("*")) if _finished(path)}


@until_changed(SCORES_FILE, *TABLES)
def read_evaluation(folder: Path) -> Evaluation:
    """One evaluation with its verdicts.

    Raises:
        DataError: a file of it is missing or damaged, or the scores are not those of the verdicts.
    """
    ids, correct_QS = verdict_matrix(folder)
    scores = _scores(folder)
    if not math.isclose(correct_QS.mean(), scores.headline.value, abs_tol=1e-9):
        raise DataError(
            f"{verdicts_path(folder)} and {folder / SCORES_FILE} disagree: a share of {correct_QS.mean()} is correct, "
            f"the score is {scores.headline.value}. Delete both and run again: the samples are then graded again."
        )
    return Evaluation(folder, scores, tuple(ids), correct_QS)


def score_rows(run: RunDir) -> Iterator[dict[str, Any]]:
    """Every finished score of a run under every split and protocol, one row a metric.

    Raises:
        DataError: a scores.json is damaged.
    """
    for split in sorted(path.name for path in (run.path / "eval").glob("*")):
        for name, folder in find_evaluations(run, split).items():
            yield from _rows(_scores(folder), {"split": split, "protocol": name})


_scores = until_changed(SCORES_FILE)(read_scores)
_finished = until_changed(SCORES_FILE, *TABLES)(is_complete)


def _rows(scores: Scores, place: dict[str, str]) -> Iterator[dict[str, Any]]:
    for metric, estimate in scores.metrics.items():
        low, high = estimate.ci95 or (None, None)
        errors = {"se_questions": estimate.se_questions, "se_samples": estimate.se_samples}
        yield place | {"metric": metric, "value": estimate.value, **errors, "low": low, "high": high}
    for metric in ("mean_tokens", "truncated_share", "no_answer_share"):
        yield place | {"metric": metric, "value": getattr(scores, metric)}
