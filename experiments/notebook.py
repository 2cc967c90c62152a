"""What a notebook starts with: a sweep opened in one line, its parts shown, a small one trained on the spot."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from analysis.layout import NOTHING, Column, Entry, Row, Table
from analysis.notebook_display import Parts
from analysis.outcome import outcome
from analysis.render import markdown_text
from analysis.results import Results
from experiments import sweeps
from experiments.commands.plan import amount
from experiments.commands.report import commands, load
from experiments.cost.estimate import Estimate, estimates
from experiments.execute import execute
from experiments.names import names
from experiments.plan import plan
from experiments.selection import Selection, select, select_sweep

STORE_VARIABLE = "PREFIX_RFT_STORE"
SETTINGS_VARIABLE = "PREFIX_RFT_SETTINGS"
STORE = os.environ.get(STORE_VARIABLE, "runs")
"""Folder of the runs: that of the environment, which `prefix-rft notebooks` sets, or `runs`."""
SETTINGS: tuple[str, ...] = tuple(shlex.split(os.environ.get(SETTINGS_VARIABLE, "")))
"""Settings as on the command line, e.g. `scale=paper`: those of the environment, or none."""


@dataclass(frozen=True, eq=False, repr=False)
class OpenedSweep:
    """A sweep, and what its runs have left in a store."""

    selection: Selection
    results: Results
    own: bool = False
    """Whether its file is one's own, which the command line does not know."""

    @property
    def name(self) -> str:
        """The sweep's file."""
        return self.selection.name

    @property
    def complete(self) -> bool:
        """Whether every run is evaluated."""
        return len(self.results.evaluations) == len(self.results.runs)

    @property
    def command(self) -> str:
        """What runs the sweep: a command line, or of one's own sweep the call; what is done is not done again."""
        return ".train()" if self.own else commands(self.selection).sweep

    @cached_property
    def parts(self) -> Parts:
        """Tables and figures of the report."""
        today = datetime.now(UTC).date().isoformat()
        return Parts(self.results, self.selection.sweep.title, today)

    def show(self, *parts: str) -> None:
        """Display tables and figures of the report by name; what is missing is said in words."""
        self.parts.show(*parts)

    def cost(self) -> Table:
        """What would run, and what of it is left to do."""
        tasks = plan(self.selection.configs).tasks
        found, _ = estimates(tasks, self.selection.store)
        named = names(tasks)
        rows = tuple(_cost_row(estimate, named[estimate.task.id]) for estimate in found)
        return Table("", _COST_COLUMNS, rows, (_COST_NOTE,))

    def train(self) -> OpenedSweep:
        """Train and evaluate here what is missing, and open the sweep again.

        Raises:
            CellsFailedError: a run failed; the others went on.
            CellsInterruptedError: it was stopped; started again it goes on.
        """
        execute(self.selection.configs).raise_for_failures()
        return replace(self, results=load(self.selection))

    def __repr__(self) -> str:
        done = f"{len(self.results.evaluations)} of {len(self.results.runs)} runs evaluated"
        return f"{self.name}: {done}"

    def _repr_markdown_(self) -> str:
        """What it is, how much of it is there, and what came out."""
        sweep, results = self.selection.sweep, self.results
        where = (
            f" on {results.measured_on}, {results.questions} questions each" if results.evaluations else ""
        )
        lines = [
            f"**{markdown_text(sweep.title)}.** Reproduces: {markdown_text(sweep.reproduces)}.",
            markdown_text(f"{self!r}{where}. {outcome(results)}"),
            *([] if self.complete else [f"To train what is missing: `{self.command}`"]),
        ]
        return "\n\n".join(lines)


def open_sweep(name: str, settings: Sequence[str] = (), *, store: str | Path = STORE) -> OpenedSweep:
    """A sweep of sweeps/ as it stands; runs nothing.

    Args:
        name: the file without .yaml.
        settings: as on the command line.
        store: folder of the runs; need not exist.

    Raises:
        SettingsError: there is no such sweep, or it refuses a setting.
        ProtocolError: its runs were evaluated under different protocols.
    """
    selection = select(name, [*settings, *_in_store(store)])
    return OpenedSweep(selection, load(selection))


def open_file(file: Path, settings: Sequence[str] = (), *, store: str | Path = STORE) -> OpenedSweep:
    """A sweep of one's own, from a file anywhere; see `open_sweep`."""
    selection = select_sweep(file.stem, sweeps.read(file), [*settings, *_in_store(store)])
    return OpenedSweep(selection, load(selection), own=True)


def open_sweeps(settings: Sequence[str] = (), *, store: str | Path = STORE) -> dict[str, OpenedSweep]:
    """All sweeps of sweeps/ by name; see `open_sweep`."""
    return {name: open_sweep(name, settings, store=store) for name in sweeps.names()}


def overview(opened: Iterable[OpenedSweep]) -> Table:
    """Every sweep in a line: how much of it is there, and what came out."""
    columns = (
        Column("sweep", "Sweep", numeric=False),
        Column("title", "Question", numeric=False),
        Column("evaluated", "Evaluated"),
        Column("outcome", "Outcome", numeric=False),
    )
    return Table("", columns, tuple(_overview_row(one) for one in opened))


def _in_store(store: str | Path) -> list[str]:
    return sweeps.overrides({"store": str(store)})


_COST_NOTE = (
    "Upper bounds from a model of the arithmetic, scaled by the finished runs of the same kind in this store; "
    "prefix-rft plan says on what it rests."
)
_COST_COLUMNS = (
    Column("run", "Run", numeric=False),
    Column("stands", "Stands", numeric=False),
    Column("generated", "Generated (tokens)"),
    Column("updated", "Updated (tokens)"),
    Column("seconds", "Seconds", digits=0),
    Column("device", "Of one", numeric=False),
)


def _cost_row(estimate: Estimate, name: str) -> Row:
    if estimate.done:
        return Row((Entry(name), Entry("done"), *[NOTHING] * 4))
    if estimate.work is None:
        return Row(
            (Entry(name), Entry("to do"), *[Entry(reason="not known")] * 3, Entry(estimate.machine.name))
        )
    tokens = (Entry(amount(estimate.work.generated)), Entry(amount(estimate.work.updated)))
    return Row((Entry(name), Entry("to do"), *tokens, Entry(estimate.seconds), Entry(estimate.machine.name)))


def _overview_row(opened: OpenedSweep) -> Row:
    results = opened.results
    evaluated = f"{len(results.evaluations)}/{len(results.runs)}"
    texts = (opened.name, opened.selection.sweep.title, evaluated, outcome(results))
    return Row(tuple(map(Entry, texts)))
