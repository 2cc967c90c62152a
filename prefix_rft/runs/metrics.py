"""metrics.jsonl, the source of truth for curves: one row a step and kind, exact to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from prefix_rft.errors import RunError, TrainingError
from prefix_rft.runs.jsonl import Record, append_record, read_records, rewrite_records
from prefix_rft.runs.lock import refuse_if_lost
from prefix_rft.runs.seals import cut_back, seals_of

METRICS_FILE = "metrics.jsonl"
Value = float | int | str | bool | None


def read_metrics(run_path: Path) -> list[Record]:
    """Every committed row, in the order written; a torn last line is left out.

    Raises:
        RunError: a committed line is damaged; names file and line.
    """
    return read_records(run_path / METRICS_FILE).rows


class MetricsWriter:
    """Appends rows, and refuses what would make the curves wrong."""

    def __init__(self, run_path: Path) -> None:
        self.path = run_path / METRICS_FILE

    @cached_property
    def _rows_seen(self) -> set[tuple[int, str]]:
        # Not before they are asked for: a resumed run first cuts off what may be damaged.
        return {_name(self.path, row) for row in read_metrics(self.path.parent)}

    def append(self, step: int, kind: str, values: Mapping[str, Value]) -> None:
        """Write one row; it survives the process's death at once, the machine's from the next checkpoint on.

        Args:
            step: rollout step, from 1 (after the first step).
            kind: what the row describes: train, validation, final.
            values: name -> number; text and null are allowed too.

        Raises:
            TrainingError: a number is NaN or infinite, or the row is there already, or a later one is.
            RunError: the disk is full or refuses, or another process has taken the run over.
        """
        refuse_if_lost(self.path.parent)
        self._refuse_disorder(step, kind)
        row = {"step": step, "kind": kind, **values}
        try:
            append_record(self.path, row)
        except ValueError as error:
            raise TrainingError(_not_finite(row)) from error
        self._rows_seen.add((step, kind))

    def has(self, step: int, kind: str) -> bool:
        """Whether the row is written already."""
        return (step, kind) in self._rows_seen

    def truncate_after(self, step: int) -> int:
        """Drop the rows after `step`, which a resumed run will write again; returns how many were dropped.

        Raises:
            RunError: a row up to `step` was changed since its checkpoint was saved; or the disk is full or refuses,
                and every row is still there.
        """
        refuse_if_lost(self.path.parent)
        self.__dict__.pop("_rows_seen", None)
        seals = seals_of(self.path.parent, step) if step else None
        dropped = cut_back(self.path.parent, METRICS_FILE, seals)
        return self._drop(step) if dropped is None else dropped

    def _drop(self, step: int) -> int:
        records = read_records(self.path)
        kept = [row for row in records.rows if _name(self.path, row)[0] <= step]
        if len(kept) < len(records.rows) or records.torn:
            rewrite_records(self.path, kept)
        return len(records.rows) - len(kept)

    def _refuse_disorder(self, step: int, kind: str) -> None:
        last = max((seen for seen, _ in self._rows_seen), default=0)
        if step < last or self.has(step, kind):
            raise TrainingError(
                f"{self.path} already holds rows up to step {last}; the {kind} row of step {step} does not "
                "follow. A resumed run must first drop the rows after its checkpoint (truncate_after)."
            )


def _name(path: Path, row: Record) -> tuple[int, str]:
    try:
        return int(row["step"]), str(row["kind"])
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise RunError(f"{path} holds a row without a step and a kind: {row}. Remove that line.") from error


def _not_finite(row: Mapping[str, Any]) -> str:
    bad = [f"{key}={value}" for key, value in row.items() if isinstance(value, float) and not _finite(value)]
    return (
        f"step {row['step']}, {row['kind']} row: {', '.join(bad)} is not finite; the run has diverged or its "
        "data is broken. Lower the learning rate or max_grad_norm, or look at the batch of this step; the "
        "last checkpoint is from before it."
    )


def _finite(value: float) -> bool:
    return value - value == 0
