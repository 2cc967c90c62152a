"""What runs left on disk as tidy frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.cells import Cell
from analysis.columns import columns_of, frame_of
from analysis.reading import RunRecord
from prefix_rft.runs.jsonl import Record
from prefix_rft.runs.state import RunState

PLACE = ["label", "method", "seed", "run_id"]
"""Columns that say where a row of any frame belongs."""
_RUNS = {
    "standing": "str",
    "status": "str",
    "error": "str",
    "stage": "str",
    "step": "Int64",
    "total_steps": "Int64",
    "attempts": "Int64",
    "seconds": "float64",
    "created": "datetime64[ms, UTC]",
    "finished": "datetime64[ms, UTC]",
    "commit": "str",
    "dirty": "boolean",
}
_CURVES = {"step": "int64", "kind": "str", "reward": "float64", "validation/accuracy": "float64"}
_SCORES = {
    **dict.fromkeys(["split", "protocol", "metric"], "str"),
    **dict.fromkeys(["value", "se_questions", "se_samples", "low", "high"], "float64"),
}


@dataclass(frozen=True)
class Frames:
    """What runs left on disk; `PLACE` columns first."""

    runs: pd.DataFrame
    """One row a cell: standing (in words) and status, error (why it failed or cannot be read), stage, step,
    total_steps, attempts, seconds (at work), created, finished, commit, dirty (whether changes were not committed),
    then every setting by its dotted name (`method.clipping.keep`, `sweep`); a list of settings is one text."""
    curves: pd.DataFrame
    """One row a line of metrics.jsonl: step, kind, reward, validation/accuracy, then the others by name."""
    scores: pd.DataFrame
    """One row a run, split, protocol and metric: value, se_questions, se_samples, low, high."""


@dataclass(frozen=True)
class RunRows:
    """One run's rows of the frames, without its place."""

    run: Record
    scores: Sequence[Record]
    curves: Any
    """Arrow table (`analysis.columns`)."""


def rows_of(record: RunRecord) -> RunRows:
    """The rows of one run, of values that JSON can hold."""
    return RunRows(_run(record), record.scores, columns_of(record.metrics))


def assemble(cells: Sequence[Cell], rows: Mapping[str, RunRows]) -> Frames:
    """The frames of these cells, from the rows of their runs, by run id."""
    return Frames(
        runs=_frame([_place(cell) | rows[cell.run_id].run for cell in cells], _RUNS),
        curves=_curves(cells, [rows[cell.run_id].curves for cell in cells]),
        scores=_frame([_place(cell) | row for cell in cells for row in rows[cell.run_id].scores], _SCORES),
    )


def _run(record: RunRecord) -> Record:
    if record.state is None:
        return {
            "standing": record.standing,
            "status": record.standing.partition(":")[0],
            "error": record.damage,
        }
    state, source = record.state, record.provenance.get("source") or {}
    commit = source.get("commit")
    return {
        "standing": record.standing,
        "status": state.status,
        "error": _error(state),
        "stage": state.stage,
        "step": state.step,
        "total_steps": state.total_steps,
        "attempts": state.attempt,
        "seconds": record.history.seconds,
        "created": record.history.created,
        "finished": record.history.finished if state.status == "done" else None,
        "commit": commit,
        "dirty": source.get("dirty") is not None if commit else None,
        **_settings(record),
    }


def _error(state: RunState) -> str | None:
    if state.error is None:
        return None
    # The name of a file in a message may hold what no text column can.
    return f"{state.error.type}: {state.error.message}".encode(errors="replace").decode()


def _settings(record: RunRecord) -> Record:
    """By dotted name; the seed is a column of every frame already."""
    values = record.config.model_dump(mode="json", exclude={"seed"}) if record.config else {}
    return dict(_leaves(values))


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", json.dumps(value) if isinstance(value, list) else value


def _curves(cells: Sequence[Cell], tables: Sequence[Any]) -> pd.DataFrame:
    values = frame_of(tables)
    of_cells = _frame([_place(cell) for cell in cells], {})
    places = of_cells.take(np.repeat(np.arange(len(cells)), [table.num_rows for table in tables]))
    # A metric may have the name of a place.
    values = values.rename(columns={name: f"metric {name}" for name in PLACE})
    return _ordered(pd.concat([places.reset_index(drop=True), values], axis=1), _CURVES)


def _place(cell: Cell) -> Record:
    return {name: getattr(cell, name) for name in PLACE}


def _frame(rows: list[Record], expected: dict[str, str]) -> pd.DataFrame:
    """Rows with the expected columns first, there even if no row has them; seeds stay whole numbers."""
    return _ordered(
        pd.DataFrame(rows), {"label": "str", "method": "str", "seed": "Int64", "run_id": "str"} | expected
    )


def _ordered(frame: pd.DataFrame, expected: dict[str, str]) -> pd.DataFrame:
    first = dict.fromkeys([*PLACE, *expected])
    return frame.reindex(columns=[*first, *(name for name in frame if name not in first)]).astype(expected)
