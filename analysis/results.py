"""The store as tidy frames, and one table's worth of evaluated runs, measured alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from analysis.cache import known_rows, read_rows
from analysis.cells import Cell
from analysis.evaluations import Evaluation, Floats
from analysis.frames import Frames, RunRows, assemble, rows_of
from analysis.measured import Measured, title
from analysis.reading import Parts, RunRecord, read_run
from analysis.rows import Place, places
from eval.protocol import ProtocolError, lines, same_protocol
from prefix_rft.data.schema import SPLITS
from prefix_rft.errors import RunError
from prefix_rft.runs.store import Store
from prefix_rft.settings import RunConfig


@dataclass(frozen=True, eq=False)
class Results:
    """Cells of one comparison, with what they scored, all under one protocol."""

    cells: tuple[Cell, ...]
    parts: tuple[str, ...]
    """What the runs are measured on: a split of their data, or benchmarks."""
    standing: Mapping[str, str]
    """Where each run stands, by run id."""
    damage: Mapping[str, str]
    """Why a run cannot be read, by run id; readable ones are left out."""
    evaluations: Mapping[str, Measured]
    """By run id; a cell without one is missing from the table, and `reason` says why."""
    unfinished: Mapping[str, tuple[str, ...]]
    """By run id the parts that a run without scores still lacks."""
    frames: Frames
    configs: Mapping[str, RunConfig]
    provenance: Mapping[str, Mapping[str, Any]]
    seconds: Mapping[str, float]
    """At work on each run, by run id."""
    places: Mapping[str, Place]
    """Of every row: what it compares, and its base model in words; empty where all stand on one."""
    sweep: str = ""
    """Name of the sweep; empty for a choice of runs of one's own."""
    records: Mapping[str, RunRecord] = field(default_factory=dict)
    """What was read of every run, by run id, without its metrics: `frames.curves` has them."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Rows, in the order of the cells."""
        return tuple(self._of_labels)

    def of_label(self, label: str) -> tuple[Cell, ...]:
        """The cells of one row."""
        return self._of_labels.get(label, ())

    @cached_property
    def _of_labels(self) -> Mapping[str, tuple[Cell, ...]]:
        """Looked through once: every row is asked for again and again."""
        found: dict[str, list[Cell]] = {}
        for cell in self.cells:
            found.setdefault(cell.label, []).append(cell)
        return {label: tuple(cells) for label, cells in found.items()}

    def evaluated(self, label: str) -> tuple[Measured, ...]:
        """What the runs of one row scored."""
        return tuple(
            self.evaluations[cell.run_id] for cell in self.of_label(label) if cell.run_id in self.evaluations
        )

    def method(self, label: str) -> str:
        """The method of a row."""
        return self.of_label(label)[0].method

    def question_scores(self, label: str, metric: str) -> dict[int | None, dict[str, Floats]]:
        """[Q] scores of every question by part, by training seed."""
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
        stands, lacking = self.standing[cell.run_id], self.unfinished.get(cell.run_id, self.parts)
        return f"not evaluated on {', '.join(map(title, lacking))}" if stands == "done" else stands

    @property
    def measured_on(self) -> str:
        """The split, or the benchmarks, in words."""
        names = ", ".join(map(title, self.parts))
        return f"the {names} split" if self.parts[0] in SPLITS else names

    @property
    def runs(self) -> tuple[str, ...]:
        """Ids of the distinct runs; one run can stand in several rows."""
        return tuple(dict.fromkeys(cell.run_id for cell in self.cells))

    @property
    def questions(self) -> int:
        """Questions of all parts together; 0 where nothing is evaluated yet."""
        return next((done.questions for done in self.evaluations.values()), 0)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Compared scores (`Measured.metrics`), the headline first; none where nothing is evaluated yet."""
        return next((done.metrics for done in self.evaluations.values()), ())

    @property
    def protocol_line(self) -> str | None:
        """How everything was measured; None where nothing is evaluated yet."""
        groups = [
            [done.scores.protocol for done in measured.parts.values()]
            for measured in self.evaluations.values()
        ]
        return " ".join(dict.fromkeys(map(lines, groups))) or None

    @property
    def scores(self) -> pd.DataFrame:
        """The frame of scores, only those that the tables show."""
        scores, names = self.frames.scores, ["run_id", "split", "protocol"]
        shown = {
            (run_id, part, done.folder.name)
            for run_id, measured in self.evaluations.items()
            for part, done in measured.parts.items()
        }
        places = [tuple(row) in shown for row in scores[names].itertuples(index=False)]
        return scores[np.array(places, dtype=bool)].reset_index(drop=True)


def load_results(
    store: Store,
    cells: Sequence[Cell],
    *,
    parts: Parts | None = None,
    sweep: str = "",
    asked: Mapping[str, RunConfig] | None = None,
) -> Results:
    """Everything that a table of these cells needs; a damaged run is one without scores.

    Args:
        store: where the runs are.
        cells: the caller's choice; the order of labels is the order of rows.
        parts: the split or benchmarks that the runs are measured on, each with its protocol folder below
            eval/<part>/; None as a folder takes the one that all runs share. None takes the test split.
        sweep: name of the sweep whose cells they are.
        asked: what is known of runs that were not begun, by run id: which base model a row stands on.

    Raises:
        ProtocolError: runs of one base model were evaluated under different protocols; names the fields.
        RunError: two runs stand in the same place.
    """
    cells, parts = tuple(dict.fromkeys(cells)), parts or {"test": None}
    _refuse_doubles(cells)
    read: dict[str, RunRecord] = {}
    rows: dict[str, RunRows] = {}
    for run_id in dict.fromkeys(cell.run_id for cell in cells):
        record = read_run(store, run_id, parts)
        # As columns metrics take a tenth of the memory.
        read[run_id], rows[run_id] = replace(record, metrics=()), rows_of(record)
    found = {part: _of_part(read, part, folder) for part, folder in parts.items()}
    configs = {name: run.config for name, run in read.items() if run.config}
    placed = _places(cells, {**(asked or {}), **configs})
    evaluations = {
        name: Measured({part: found[part][name] for part in parts})
        for name in read
        if all(name in found[part] for part in parts)
    }
    _refuse_mixed(evaluations, {cell.run_id: placed[cell.label][1] for cell in cells})
    return Results(
        cells=cells,
        parts=tuple(parts),
        standing={name: run.standing for name, run in read.items()},
        damage={name: run.damage for name, run in read.items() if run.damage},
        evaluations=evaluations,
        unfinished={name: tuple(part for part in parts if name not in found[part]) for name in read},
        frames=assemble(cells, rows),
        configs=configs,
        provenance={name: run.provenance for name, run in read.items()},
        seconds={name: run.seconds for name, run in read.items()},
        places=placed,
        sweep=sweep,
        records=read,
    )


def frames(store: Store, cells: Sequence[Cell] | None = None, *, cache: bool = True) -> Frames:
    """Runs, curves and scores of these cells, or of every run of the store, under all splits and protocols.

    Unfinished, failed and unreadable runs are rows too: see the columns `status`, `standing` and `error` of `runs`.

    Args:
        store: where the runs are.
        cells: with the labels that the caller gives; None takes every run, labelled by its method.
        cache: read only runs that have changed since somebody asked last (`analysis.cache`).
    """
    run_ids = [run.id for run in store.runs()] if cells is None else [cell.run_id for cell in cells]
    known = known_rows(store, run_ids) if cache else {name: read_rows(store, name) for name in run_ids}
    chosen = [run.cell for run in known.values()] if cells is None else cells
    return assemble(chosen, {name: run.rows for name, run in known.items()})


def _places(cells: Sequence[Cell], configs: Mapping[str, RunConfig]) -> dict[str, Place]:
    of_label = {cell.label: configs[cell.run_id] for cell in reversed(cells) if cell.run_id in configs}
    return places({cell.label: cell.method for cell in cells}, of_label)


def _of_part(read: Mapping[str, RunRecord], part: str, wanted: str | None) -> dict[str, Evaluation]:
    """Every run's evaluation on one part, by run id."""
    of_runs = {name: run.evaluations.get(part, {}) for name, run in read.items()}
    chosen = _common_folder(list(of_runs.values()), wanted)
    return {name: found[chosen] for name, found in of_runs.items() if chosen in found}


def _refuse_mixed(evaluations: Mapping[str, Measured], bases: Mapping[str, str]) -> None:
    """Runs are compared with those on their own base model: another family may be asked in another way."""
    together: dict[tuple[str, str], list[Evaluation]] = {}
    for run_id, measured in evaluations.items():
        for part, done in measured.parts.items():
            together.setdefault((bases[run_id], part), []).append(done)
    for found in together.values():
        same_protocol([done.scores.protocol for done in found])
    for measured in evaluations.values():
        lines([done.scores.protocol for done in measured.parts.values()])
    for part in {part for _, part in together}:
        _refuse_other_questions([measured.parts[part] for measured in evaluations.values()])


def _refuse_other_questions(found: Sequence[Evaluation]) -> None:
    if len({done.questions for done in found}) > 1:
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
