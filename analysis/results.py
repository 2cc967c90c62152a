"""The store as tidy frames, and one table's worth of evaluated runs measured under one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.cells import Cell, cell_of
from analysis.evaluations import Evaluation, Floats
from analysis.frames import Frames, frames_of
from analysis.reading import read_run
from analysis.rows import Place, places
from eval.protocol import ProtocolError, line, same_protocol
from prefix_rft.errors import RunError
from prefix_rft.runs.store import Store
from prefix_rft.settings import RunConfig


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
    seconds: Mapping[str, float]
    """At work on each run, by run id."""
    places: Mapping[str, Place]
    """Of every row: what it compares, and its base model in words; empty where all stand on one."""
    sweep: str = ""
    """Name of the sweep; empty for a choice of runs of one's own."""

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
        return {
            cell.seed: self.evaluations[cell.run_id].question_scores(metric)
            for cell in self.of_label(label)
            if cell.run_id in self.evaluations
        }

    @property
    def bases(self) -> tuple[str, ...]:
        """Base models on which the comparison is repeated, in words; one empty name where there is one."""
        return tuple(dict.fromkeys(base for _, base in self.places.values()))

    @property
    def variants(self) -> tuple[str, ...]:
        """What is compared: the rows, where there is one base model."""
        return tuple(dict.fromkeys(variant for variant, _ in self.places.values()))

    def members(self, name: str) -> dict[str, str]:
        """The evaluated rows of a variant, by base model; of a row, itself."""
        return {
            base: label
            for label, (variant, base) in self.places.items()
            if name in (label, variant) and self.evaluated(label)
        }

    def method_of(self, variant: str) -> str:
        """The method of a variant."""
        return next(self.method(label) for label, (name, _) in self.places.items() if name == variant)

    def reason(self, cell: Cell) -> str:
        """Why a cell has no scores."""
        stands = self.standing[cell.run_id]
        return f"not evaluated on {self.split}" if stands == "done" else stands

    @property
    def runs(self) -> tuple[str, ...]:
        """Ids of the distinct runs; one run can stand in several rows."""
        return tuple(dict.fromkeys(cell.run_id for cell in self.cells))

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
    store: Store,
    cells: Sequence[Cell],
    *,
    split: str = "test",
    folder: str | None = None,
    sweep: str = "",
) -> Results:
    """Everything that a table of these cells needs; a damaged run is one without scores.

    Args:
        store: where the runs are.
        cells: the caller's choice; the order of labels is the order of rows.
        split: which split's evaluations.
        folder: protocol folder below eval/<split>/; None takes the one that all runs share.
        sweep: name of the sweep whose cells they are.

    Raises:
        ProtocolError: the runs were evaluated under different protocols; names the fields.
        RunError: two runs stand in the same place.
    """
    cells = tuple(dict.fromkeys(cells))
    _refuse_doubles(cells)
    read = {cell.run_id: read_run(store, cell.run_id, split, folder) for cell in cells}
    chosen = _common_folder([run.evaluations for run in read.values()], folder)
    evaluations = {name: run.evaluations[chosen] for name, run in read.items() if chosen in run.evaluations}
    _refuse_mixed(list(evaluations.values()))
    configs = {name: run.config for name, run in read.items() if run.config}
    return Results(
        cells=cells,
        split=split,
        standing={name: run.standing for name, run in read.items()},
        damage={name: run.damage for name, run in read.items() if run.damage},
        evaluations=evaluations,
        frames=frames_of(cells, read),
        configs=configs,
        provenance={name: run.provenance for name, run in read.items()},
        seconds={name: run.seconds for name, run in read.items()},
        places=_places(cells, configs),
        sweep=sweep,
    )


def frames(store: Store, cells: Sequence[Cell] | None = None) -> Frames:
    """Runs, curves and scores of these cells, or of every run of the store, under all splits and protocols.

    Raises:
        RunError, SettingsError: no cells are given, and a run's identity or configuration cannot be read.
    """
    chosen = [cell_of(run) for run in store.runs()] if cells is None else list(cells)
    return frames_of(chosen, {cell.run_id: read_run(store, cell.run_id) for cell in chosen})


def _places(cells: Sequence[Cell], configs: Mapping[str, RunConfig]) -> dict[str, Place]:
    of_label = {cell.label: configs[cell.run_id] for cell in reversed(cells) if cell.run_id in configs}
    return places({cell.label: cell.method for cell in cells}, of_label)


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
