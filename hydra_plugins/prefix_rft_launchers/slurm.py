"""`hydra/launcher=slurm cluster=<profile> [wait=true]`: the cells of a sweep as jobs of a SLURM cluster."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore

from hydra_plugins.prefix_rft_launchers.cells import CellsLauncher

if TYPE_CHECKING:
    from prefix_rft.settings import RunConfig


class SlurmLauncher(CellsLauncher):
    """Submits what is neither done nor in the queue, chained and in arrays, and returns."""

    def __init__(self, cluster: str | None = None, wait: bool = False) -> None:
        """`cluster` is a profile of slurm/clusters or a file; with `wait` it is over when the runs are."""
        super().__init__()
        self._cluster, self._wait = cluster, wait

    def start(self, configs: Sequence[RunConfig]) -> None:
        """Submit every cell; with `wait` show them until they are over."""
        from experiments.cluster.follow import follow
        from experiments.cluster.launch import Asked, cluster_named, submit_cells
        from experiments.overrides import SWEEP

        overrides = tuple(
            given for given in self.given() if not given.startswith((f"+{SWEEP}=", f"{SWEEP}="))
        )
        workers = configs[0].launcher.workers
        asked = Asked(cluster_named(self._cluster), configs[0].sweep, overrides, workers)
        submission = submit_cells(configs, asked)
        print(submission.text(), file=sys.stderr)
        if self._wait:
            follow(configs, asked, submission).raise_for_failures()


ConfigStore.instance().store(
    group="hydra/launcher",
    name="slurm",
    node={"_target_": f"{__name__}.{SlurmLauncher.__name__}", "cluster": None, "wait": False},
    provider="prefix_rft",
)
