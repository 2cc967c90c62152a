"""`hydra/sweeper=grid`: every combination of the values given, handed to the launcher at once.

Hydra's own sweeper does the same, but composes every cell a first time only to check it, which the launcher does
anyway, and leaves a `multirun.yaml` where it was started.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(Sweeper):
    """The cells of a sweep: `params`, except for keys that the command line gives, and the command line."""

    def __init__(self, params: Mapping[str, str] | None = None) -> None:
        """`params` are overrides by key, as a sweep file states them."""
        self._params = dict(params or {})
        self._launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's hook before the sweep."""
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launch every cell."""
        from experiments.grid import axes, combinations

        assert self._launcher is not None
        given = [*(f"{key}={value}" for key, value in self._params.items()), *arguments]
        return [self._launcher.launch(combinations(axes(given)), initial_job_idx=0)]


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="grid",
    node={"_target_": f"{__name__}.{GridSweeper.__name__}", "params": None},
    provider="prefix_rft",
)
