"""What the launchers share: all cells of a command line composed at once, and handed on together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from prefix_rft.settings import RunConfig


class CellsLauncher(Launcher):
    """Composes every cell before any is started; what happens to them is the launcher's own."""

    def __init__(self) -> None:
        self._context: HydraContext | None = None
        self._config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's hook before the launch."""
        self._context, self._config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run or submit every cell.

        Raises:
            SettingsError: a cell's configuration is refused; then nothing was started.
            CellsFailedError, CellsInterruptedError: what the exit code stands for.
        """
        from experiments.compose import Composer

        self.start(Composer(self._load).all(job_overrides))
        return [JobReturn(overrides=list(cell), status=JobStatus.COMPLETED) for cell in job_overrides]

    @abstractmethod
    def start(self, configs: Sequence[RunConfig]) -> None:
        """Run or submit them; one that fails stops no other."""

    def given(self) -> list[str]:
        """The command line's overrides of settings and groups, as Hydra had them."""
        assert self._config is not None
        return [str(override) for override in self._config.hydra.overrides.task]

    def _load(self, overrides: list[str]) -> DictConfig:
        assert self._context is not None
        assert self._config is not None
        return self._context.config_loader.load_sweep_config(self._config, overrides)
