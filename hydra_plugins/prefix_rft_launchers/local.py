"""`hydra/launcher=local`: the cells of a sweep as processes on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore

from hydra_plugins.prefix_rft_launchers.cells import CellsLauncher

if TYPE_CHECKING:
    from prefix_rft.settings import RunConfig


class LocalLauncher(CellsLauncher):
    """Hands all cells at once to the executor, which skips what is done and isolates failures."""

    def start(self, configs: Sequence[RunConfig]) -> None:
        """Run every cell; one that fails does not stop the others."""
        from experiments.execute import execute

        execute(configs).raise_for_failures()


ConfigStore.instance().store(
    group="hydra/launcher",
    name="local",
    node={"_target_": f"{__name__}.{LocalLauncher.__name__}"},
    provider="prefix_rft",
)
