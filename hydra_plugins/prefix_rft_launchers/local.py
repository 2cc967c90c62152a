"""`hydra/launcher=local`: the cells of a sweep as processes on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LocalLauncher(Launcher):
    """Hands all cells at once to the executor, which skips what is done and isolates failures."""

    def __init__(self) -> None:
        self._context: HydraContext | None = None
        self._config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's hook before the launch."""
        self._context, self._config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run every cell; one that fails does not stop the others.

        Raises:
            SettingsError: a cell's configuration is refused; then nothing was started.
            CellsFailedError, CellsInterruptedError: what the exit code stands for.
        """
        from experiments.compose import Composer
        from experiments.execute import execute

        execute(Composer(self._load).all(job_overrides)).raise_for_failures()
        return [JobReturn(overrides=list(cell), status=JobStatus.COMPLETED) for cell in job_overrides]

    def _load(self, overrides: list[str]) -> DictConfig:
        assert self._context is not None
        assert self._config is not None
        return self._context.config_loader.load_sweep_config(self._config, overrides)


ConfigStore.instance().store(
    group="hydra/launcher",
    name="local",
    node={"_target_": f"{__name__}.{LocalLauncher.__name__}"},
    provider="prefix_rft",
)
