"""Which runs a table is about: the cells of a sweep, without running anything."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from analysis.cells import Cell
from analysis.style import NAMES
from experiments import sweeps
from experiments.compose import compose
from experiments.plan import Plan, plan
from prefix_rft.errors import SettingsError
from prefix_rft.runs.identity import PlannedRun
from prefix_rft.settings import RunConfig

COMPARED_BY_NAME = "method"


def cells_of(sweep_name: str, overrides: Sequence[str] = ()) -> list[RunConfig]:
    """The configuration of every cell of a sweep.

    Args:
        sweep_name: a file of sweeps/.
        overrides: as on the command line; a varied setting that is given here keeps to what is given.
    """
    sweep = sweeps.load(sweep_name)
    given = {override.split("=", 1)[0].lstrip("+") for override in overrides}
    fixed = [
        f"{key}={sweeps.override_value(value)}" for key, value in sweep.fixed.items() if key not in given
    ]
    axes = [
        [f"{key}={sweeps.override_value(value)}" for value in values]
        for key, values in sweep.vary.items()
        if key not in given
    ]
    return [
        compose([*fixed, *combination, *overrides]).model_copy(update={"sweep": sweep_name})
        for combination in itertools.product(*axes)
    ]


def table_cells(sweep_name: str, overrides: Sequence[str] = ()) -> tuple[RunConfig, list[Cell]]:
    """The first cell's configuration and every run's place in the sweep's table, base models first.

    Raises:
        SettingsError: there is no such sweep, or its rows cannot be told apart.
    """
    sweep = sweeps.load(sweep_name)
    if sweep.compare != COMPARED_BY_NAME:
        raise SettingsError(f"sweep {sweep_name!r} compares {sweep.compare!r}; tables compare methods so far")
    configs = cells_of(sweep_name, overrides)
    planned = plan(configs)
    trained = [_cell(run) for run in planned.cells]
    return configs[0], [*_bases(planned), *trained]


def _bases(planned: Plan) -> list[Cell]:
    return [
        Cell(run.identity.id, "base", None, NAMES["base"])
        for run in planned.runs
        if run.identity.kind == "base"
    ]


def _cell(run: PlannedRun) -> Cell:
    method = run.config.method.name
    return Cell(run.identity.id, method, run.config.seed, NAMES.get(method, method))
