"""The store as tidy frames, and one table's worth of evaluated runs measured under one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.cells import NOT_STARTED, Cell, cell_of, open_run, standing
from analysis.evaluations import Evaluation, Floats, find_evaluations, read_evaluation, score_rows
from eval.protocol import ProtocolError, line, same_protocol
from prefix_rft.errors import PrefixRftError, RunError
from prefix_rft.runs.atomic import read_json
from prefix_rft.runs.jsonl import Record
from prefix_rft.runs.provenance import PROVENANCE_FILE
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig

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


@dataclass(frozen=True, eq=False)
class Results:
    """Cells of one comparison, with the evaluations that exist, all under one protocol."""

    cells: tuple[Cell, ...]
    split: str
    standing: Mapping[str, str]
    """Where each run stands, by run id."""
    damage: Mapping[str, str]
    """Why a run cannot be read, by run id; readable ones are left out."""
    evaluations: Mapping[str, Evaluation]
    """By run id; a cell without one is missing from the table, and `standing` says why."""
    frames: Frames
    configs: Mapping[str, RunConfig]
    provenance: Mapping[str, Mapping[str, Any]]

    @property
    def labels(self) -> tuple[str, ...]:
        """Rows, in the order of the cells."""
        return tuple(dict.fromkeys(cell.label for cell in self.cells))

    def of_label(self, label: str) -> tuple[Cell, ...]:
        """The cells of one row."""
        return tuple(cell for cell in self.cells if cell.label == label)

    def evaluated(self, label: str) -> tuple[Evaluation, ...]:
        """The evaluations of one row."""
        return tuple(
            self.evaluations[cell.run_id] for cell in self.of_label(label) if cell.run_id in self.evaluations
        )

    def method(self, label: str) -> str:
        """The method of a row."""
        return self.of_label(label)[0].method

    def question_scores(self, label: str, metric: str) -> dict[int | None, Floats]:
        """[Q] scores of every question, by training seed."""
        return {done.seed: done.question_scores(metric) for done in self.evaluated(label)}

    def reason(self, cell: Cell) -> str:
        """Why a cell has no scores."""
        stands = self.standing[cell.run_id]
        return f"not evaluated on {self.split}" if stands == "done" else stands

    @property
    def _any(self) -> Evaluation | None:
        return next(iter(self.evaluations.values()), None)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Compared scores: avg@k, then pass@k; pass@1 is avg@k by another name and is left out."""
        names = self._any.scores.metrics if self._any else ()
        return tuple(name for name in names if name != "pass@1")

    @property
    def protocol_line(self) -> str | None:
        """The protocol of all scores in one line; None where nothing is evaluated yet."""
        return line(self._any.scores.protocol) if self._any else None

    @property
    def scores(self) -> pd.DataFrame:
        """The frame of scores, only those of this split and protocol."""
        scores, folders = self.frames.scores, {done.folder.name for done in self.evaluations.values()}
        return scores[(scores["split"] == self.split) & scores["protocol"].isin(folders)].reset_index(
            drop=True
        )


def load_results(
    store: Store, cells: Sequence[Cell], *, split: str = "test", folder: str | None = None
) -> Results:
    """Everything that a table of these cells needs; a damaged run is one without scores.

    Args:
        store: where the runs are.
        cells: the caller's choice; the order of labels is the order of rows.
        split: which split's evaluations.
        folder: protocol folder below eval/<split>/; None takes the one that all runs share.

    Raises:
        ProtocolError: the runs were evaluated under different protocols; names the fields.
        RunError: two runs stand in the same place.
    """
    cells = tuple(dict.fromkeys(cells))
    _refuse_doubles(cells)
    read = {cell.run_id: _read(store, cell, split) for cell in cells}
    chosen = _common_folder([run.evaluations for run in read.values()], folder)
    evaluations = {name: run.evaluations[chosen] for name, run in read.items() if chosen in run.evaluations}
    _refuse_mixed(list(evaluations.values()))
    return Results(
        cells=cells,
        split=split,
        standing={name: run.standing for name, run in read.items()},
        damage={name: run.damage for name, run in read.items() if run.damage},
        evaluations=evaluations,
        frames=_frames(cells, read),
        configs={name: run.config for name, run in read.items() if run.config},
        provenance={name: run.provenance for name, run in read.items()},
    )


def frames(store: Store, cells: Sequence[Cell] | None = None) -> Frames:
    """Runs, curves and scores of these cells, or of every run of the store, under all splits and protocols.

    Raises:
        RunError, SettingsError: no cells are given, and a run's identity or configuration cannot be read.
    """
    chosen = [cell_of(run) for run in store.runs()] if cells is None else list(cells)
    return _frames(chosen, {cell.run_id: _read(store, cell) for cell in chosen})


@dataclass(frozen=True)
class _Run:
    """What was read of one run; nothing but the reason where some of it cannot be read."""

    standing: str
    damage: str = ""
    config: RunConfig | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Record] = ()
    scores: Sequence[Record] = ()
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)
    """Of one split, by protocol folder."""


def _read(store: Store, cell: Cell, split: str | None = None) -> _Run:
    run = open_run(store, cell.run_id)
    if run is None:
        return _Run(NOT_STARTED)
    try:
        folders = find_evaluations(run, split) if split else {}
        return _Run(
            standing=standing(run.state()),
            config=run.config(),
            provenance=_provenance(run),
            metrics=run.metrics(),
            scores=list(score_rows(run)),
            evaluations={name: read_evaluation(cell.seed, path) for name, path in folders.items()},
        )
    except PrefixRftError as error:
        return _Run(f"unreadable: {type(error).__name__}", damage=str(error))


def _frames(cells: Sequence[Cell], read: Mapping[str, _Run]) -> Frames:
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


def _refuse_mixed(evaluations: Sequence[Evaluation]) -> None:
    if evaluations:
        same_protocol([evaluation.scores.protocol for evaluation in evaluations])
    questions = {evaluation.questions for evaluation in evaluations}
    if len(questions) > 1:
        raise ProtocolError(
            "the runs' verdicts are not on the same questions; delete the changed files and evaluate again."
        )


def _refuse_doubles(cells: Sequence[Cell]) -> None:
    places: dict[tuple[str, int | None], str] = {}
    for cell in cells:
        other = places.setdefault((cell.label, cell.seed), cell.run_id)
        if other != cell.run_id:
            raise RunError(
                f"runs {other} and {cell.run_id} both stand for {cell.label}, seed {cell.seed}. Give them "
                "different labels, or select one."
            )


def _common_folder(of_runs: Sequence[Mapping[str, Evaluation]], wanted: str | None) -> str:
    """The protocol folder that all evaluated runs share."""
    present = [found for found in of_runs if found]
    if wanted is not None or not present:
        return wanted or ""
    common = set.intersection(*(set(found) for found in present))
    if len(common) == 1:
        return common.pop()
    if not common:
        same_protocol([done.scores.protocol for found in present for done in found.values()])
    names = sorted(common) or sorted({name for found in present for name in found})
    raise ProtocolError(
        f"the runs were evaluated under {len(names)} protocols: {', '.join(names)}. Name the one wanted."
    )


def _place(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in PLACE}


def _frame(rows: list[dict[str, Any]], expected: Sequence[str]) -> pd.DataFrame:
    """Rows with the expected columns first, there even if no row has them; seeds stay whole numbers."""
    others = dict.fromkeys(key for row in rows for key in row if key not in (*PLACE, *expected))
    return pd.DataFrame(rows, columns=[*PLACE, *expected, *others]).astype({"seed": "Int64"})


def _provenance(run: RunDir) -> Mapping[str, Any]:
    path = run.path / PROVENANCE_FILE
    return read_json(path) if path.exists() else {}
