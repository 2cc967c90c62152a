"""`hydra/sweeper=grid`: the cells of a sweep, or every combination of the values given, handed to the launcher at once.

Hydra's own sweeper knows no named variants, composes every cell a first time only to check it, which the launcher
does anyway, and leaves a `multirun.yaml` where it was started.
"""

from __future__ import annotations

from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(Sweeper):
    """The cells of the sweep that `+sweep=<name>` names, under the rest of the command line."""

    def __init__(self, sweep: str | None = None) -> None:
        """`sweep` is a file of sweeps/; without one the command line alone says what varies."""
        self._sweep = sweep
        self._launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's hook before the sweep."""
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launch every cell."""
        assert self._launcher is not None
        return [self._launcher.launch(self._cells(arguments), initial_job_idx=0)]

    def _cells(self, arguments: list[str]) -> list[list[str]]:
        from experiments import grid, sweeps

        if self._sweep is None:
            return grid.combinations(grid.axes(arguments))
        return [list(cell.overrides) for cell in grid.expand(sweeps.load(self._sweep), arguments).cells]


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="grid",
    node={"_target_": f"{__name__}.{GridSweeper.__name__}", "sweep": None},
    provider="prefix_rft",
)
