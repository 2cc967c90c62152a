"""Which runs a table is about: the cells of a sweep, without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.cells import Cell
from analysis.style import NAMES
from experiments import grid, sweeps
from experiments.compose import compose_all, hydras_refusals
from experiments.names import differences
from experiments.overrides import for_hydra
from experiments.plan import Plan, plan
from experiments.sweeps import Sweep
from prefix_rft.runs.store import Store
from prefix_rft.settings import RunConfig

SEED = "seed"


@dataclass(frozen=True)
class Selection:
    """A sweep's cells, and where their runs stand in its table."""

    sweep: Sweep
    configs: tuple[RunConfig, ...]
    """One for every cell."""
    cells: tuple[Cell, ...]
    """One for every run of the table, base models first."""

    @property
    def store(self) -> Store:
        """Where the runs are."""
        return Store(self.configs[0].store)


def select(name: str, overrides: Sequence[str] = ()) -> Selection:
    """The cells of a sweep.

    Args:
        name: a file of sweeps/.
        overrides: as on the command line; a varied setting that is given here keeps to what is given.

    Raises:
        SettingsError: there is no such sweep, or a cell's configuration is refused.
        DataError: a file that counts for a run's identity cannot be read.
    """
    sweep = sweeps.load(name)
    with hydras_refusals():
        axes = grid.axes(for_hydra([*sweep.overrides(), *overrides]))
    combinations = grid.combinations(axes)
    configs = [config.model_copy(update={"sweep": name}) for config in compose_all(combinations)]
    planned = plan(configs)
    varied = [key for key, values in axes.items() if len(values) > 1]
    trained = [
        Cell(run.identity.id, run.config.method.name, run.config.seed, label(sweep.compare, varied, cell))
        for run, cell in zip(planned.cells, combinations, strict=True)
    ]
    return Selection(sweep, tuple(configs), (*_bases(planned), *trained))


def label(compare: str, varied: Sequence[str], cell: Sequence[str]) -> str:
    """A row's name: the value of the compared setting, then those of all other varied ones but the seed.

    Args:
        compare: the compared setting; methods have names of their own.
        varied: settings that differ between cells.
        cell: the cell's overrides.
    """
    value = grid.value(cell, compare) or compare
    others = [
        f"{key.rpartition('.')[2]}={grid.value(cell, key)}" for key in varied if key not in (compare, SEED)
    ]
    return ", ".join([NAMES.get(value, value) if compare == "method" else value, *others])


def _bases(planned: Plan) -> Iterator[Cell]:
    bases = [task for task in planned.tasks if task.run.identity.kind == "base"]
    apart = differences(bases)
    for task in bases:
        yield Cell(task.id, "base", None, f"{NAMES['base']} {apart[task.id]}".strip())
