"""Puts into W&B what is no curve: samples of training, and what was measured afterwards, in a row of its own.

Everything goes into the summary of a row, never into its history: a curve keeps one line a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefix_rft.runs.store import RunDir
from prefix_rft.runs.tracking_row import EVALUATE, open_row
from prefix_rft.runs.tracking_tables import (
    RESPONSE_COLUMNS,
    RESPONSES,
    SAMPLE_COLUMNS,
    SAMPLES,
    SCORE_COLUMNS,
    SCORES,
    find_evaluated,
    response_rows,
    sample_rows,
    score_rows,
    score_values,
)
from prefix_rft.settings.tracking import TrackingSettings


def show_samples(row: Any, run_path: Path, most: int) -> None:
    """The newest rollouts that training wrote down, as a table of the run's own row."""
    row.summary[SAMPLES] = _table(SAMPLE_COLUMNS, sample_rows(run_path, most))


def show_evaluations(run: RunDir, tracking: TrackingSettings) -> int:
    """Scores, with their intervals and protocols, and some responses; returns how many evaluations.

    The numbers come first: a server that refuses tables has them all the same.
    """
    evaluated = find_evaluated(run.path)
    responses = [shown for one in evaluated for shown in response_rows(one, tracking.sample_rows)]
    row = open_row(run, tracking, EVALUATE)
    try:
        row.summary.update(score_values(evaluated))
        row.summary[SCORES] = _table(SCORE_COLUMNS, score_rows(evaluated))
        if responses:
            row.summary[RESPONSES] = _table(RESPONSE_COLUMNS, responses)
    finally:
        row.finish(exit_code=0)
    return len(evaluated)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    import wandb

    return wandb.Table(columns=list(columns), data=[list(row) for row in rows], allow_mixed_types=True)
