"""What runs left on disk as tidy frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.cells import Cell
from analysis.reading import RunRecord

PLACE = ["label", "method", "seed", "run_id"]
"""Columns that say where a row of any frame belongs."""


@dataclass(frozen=True)
class Frames:
    """What runs left on disk; `PLACE` columns first."""

    runs: pd.DataFrame
    """One row a cell: standing."""
    curves: pd.DataFrame
    """One row a line of metrics.jsonl."""
    scores: pd.DataFrame
    """One row a run, split, protocol and metric: value, se_questions, se_samples, low, high."""


def frames_of(cells: Sequence[Cell], read: Mapping[str, RunRecord]) -> Frames:
    """The frames of these cells, from what was read of their runs, by run id."""
    runs = [_place(cell) | {"standing": read[cell.run_id].standing} for cell in cells]
    curves = [_place(cell) | row for cell in cells for row in read[cell.run_id].metrics]
    scores = [_place(cell) | row for cell in cells for row in read[cell.run_id].scores]
    return Frames(
        runs=_frame(runs, ["standing"]),
        curves=_frame(curves, ["step", "kind", "reward", "validation/accuracy"]),
        scores=_frame(
            scores, ["split", "protocol", "metric", "value", "se_questions", "se_samples", "low", "high"]
        ),
    )


def _place(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in PLACE}


def _frame(rows: list[dict[str, Any]], expected: Sequence[str]) -> pd.DataFrame:
    """Rows with the expected columns first, there even if no row has them; seeds stay whole numbers."""
    others = dict.fromkeys(key for row in rows for key in row if key not in (*PLACE, *expected))
    return pd.DataFrame(rows, columns=[*PLACE, *expected, *others]).astype({"seed": "Int64"})
