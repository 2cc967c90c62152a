"""Verdicts question by question: what single problems say about two rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis.results import Results

COLUMNS = ("label", "method", "seed", "run_id", "part", "question", "correct", "samples")


def question_frame(results: Results) -> pd.DataFrame:
    """One row an evaluated run and question: how many of its samples are right.

    Columns: `COLUMNS`; `part` is the split or benchmark, `correct` counts of `samples`.
    """
    return pd.DataFrame(list(_rows(results)), columns=list(COLUMNS)).astype({"seed": "Int64"})


def _rows(results: Results) -> Iterator[dict[str, Any]]:
    for cell in results.cells:
        done = results.evaluations.get(cell.run_id)
        for part, evaluation in done.parts.items() if done else ():
            place = {
                "label": cell.label,
                "method": cell.method,
                "seed": cell.seed,
                "run_id": cell.run_id,
                "part": part,
            }
            counts = evaluation.correct_QS.sum(axis=1).tolist()
            samples = evaluation.correct_QS.shape[1]
            for question, correct in zip(evaluation.questions, counts, strict=True):
                yield place | {"question": question, "correct": correct, "samples": samples}
