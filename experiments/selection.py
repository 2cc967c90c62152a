"""Which runs a table is about: the cells of a sweep, without running anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from analysis.cells import Cell
from analysis.style import NAMES
from experiments import grid, sweeps
from experiments.compose import compose_all, hydras_refusals
from experiments.grid import Grid
from experiments.names import differences
from experiments.plan import Plan, plan
from experiments.sweeps import VARIANTS, Sweep
from prefix_rft.data.schema import SPLITS
from prefix_rft.errors import SettingsError
from prefix_rft.runs.identity import evaluations
from prefix_rft.runs.store import Store
from prefix_rft.settings import RunConfig

SEED = "seed"
METHOD = "method"


@dataclass(frozen=True)
class Selection:
    """A sweep's cells, and where their runs stand in its table."""

    name: str
    """The sweep's file."""
    sweep: Sweep
    """As it is at the scale that was asked for."""
    configs: tuple[RunConfig, ...]
    """One for every cell."""
    cells: tuple[Cell, ...]
    """One for every run of the table, base models first."""
    given: tuple[str, ...] = ()
    """What the command line adds to the sweep."""
    asked: Mapping[str, RunConfig] = field(default_factory=dict)
    """The configuration of every run of the table, by run id, whether it was begun or not."""
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By run id the overrides of a cell that makes the run: its own, or the first that needs it."""

    @property
    def store(self) -> Store:
        """Where the runs are."""
        return Store(self.configs[0].store)

    @property
    def parts(self) -> dict[str, str | None]:
        """What the table is about: the benchmarks where there are any, else the test split where it is evaluated.

        Each with its protocol's folder; None where the cells differ in it.
        """
        asked = [dict(evaluations(config)) for config in self.configs]
        names = dict.fromkeys(name for of_cell in asked for name in of_cell)
        benchmarks = [name for name in names if name not in SPLITS]
        shown = benchmarks or (["test"] if "test" in names or not names else list(names)[:1])
        return {name: _same({of_cell.get(name) for of_cell in asked}) for name in shown}


def _same(folders: set[str | None]) -> str | None:
    return folders.pop() if len(folders) == 1 else None


def select(name: str, overrides: Sequence[str] = ()) -> Selection:
    """The cells of a sweep.

    Args:
        name: a file of sweeps/.
        overrides: as on the command line; a varied setting that is given here keeps to what is given.

    Raises:
        SettingsError: there is no such sweep, or a cell's configuration is refused.
        DataError: a file that counts for a run's identity cannot be read.
    """
    return select_sweep(name, sweeps.load(name), overrides)


def select_sweep(name: str, sweep: Sweep, overrides: Sequence[str] = ()) -> Selection:
    """As `select`, of a sweep that lies anywhere.

    Args:
        name: what its runs and its report are called.
        sweep: read from its file.
        overrides: as on the command line.
    """
    try:
        with hydras_refusals():
            expanded = grid.expand(sweep, overrides)
        composed = compose_all([cell.overrides for cell in expanded.cells])
    except SettingsError as error:
        raise SettingsError(f"sweep {name}: {error}") from None
    configs = [config.model_copy(update={"sweep": name}) for config in composed]
    planned = plan(configs)
    cells = (*_bases(planned), *_trained(planned, expanded))
    asked = {task.id: task.run.config for task in planned.tasks}
    lines = _lines(planned, expanded)
    return Selection(name, expanded.sweep, tuple(configs), cells, tuple(overrides), asked, lines)


def label(compare: str, varied: Iterable[str], cell: Sequence[str], variant: str | None = None) -> str:
    """A row's name: what is compared, then the variant and the values of all other varied settings but the seed.

    Args:
        compare: the compared setting, or `variants`.
        varied: settings that differ between cells of one variant.
        cell: the cell's overrides.
        variant: its name, in a sweep that has variants.
    """
    compared = variant if compare == VARIANTS else _shown(compare, grid.value(cell, compare) or compare)
    aside = [variant] if variant is not None and compare != VARIANTS else []
    others = [_other(key, str(grid.value(cell, key))) for key in varied if key not in (compare, SEED)]
    return ", ".join([str(compared), *aside, *others])


def _other(key: str, value: str) -> str:
    return _shown(key, value) if key == METHOD else f"{key.rpartition('.')[2]}={value}"


def _shown(key: str, value: str) -> str:
    """Methods have names of their own."""
    return NAMES.get(value, value) if key == METHOD else value


def _trained(planned: Plan, expanded: Grid) -> Iterator[Cell]:
    for run, cell in zip(planned.cells, expanded.cells, strict=True):
        name = label(expanded.sweep.compare, expanded.varied, cell.overrides, cell.variant)
        yield Cell(run.identity.id, run.config.method.name, run.config.seed, name)


def _lines(planned: Plan, expanded: Grid) -> dict[str, tuple[str, ...]]:
    parents = {task.id: task.run.parent_id for task in planned.tasks}
    pairs = [
        (run.identity.id, cell.overrides) for run, cell in zip(planned.cells, expanded.cells, strict=True)
    ]
    found = dict(reversed(pairs))
    for run_id, overrides in pairs:
        parent = parents[run_id]
        while parent is not None:
            found.setdefault(parent, overrides)
            parent = parents[parent]
    return found


def _bases(planned: Plan) -> Iterator[Cell]:
    bases = [task for task in planned.tasks if task.run.identity.kind == "base"]
    apart = differences(bases)
    for task in bases:
        yield Cell(task.id, "base", None, f"{NAMES['base']} {apart[task.id]}".strip())
