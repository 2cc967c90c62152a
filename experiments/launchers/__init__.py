"""Ways to run the cells of a sweep; each is a Hydra launcher behind `hydra/launcher=<name>`."""

from __future__ import annotations


def register() -> None:
    """Make the launchers and sweeps known to Hydra; calling it again changes nothing."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    from experiments import sweeps
    from experiments.launchers.local import TARGET, LocalLauncher

    Plugins.instance().register(LocalLauncher)
    ConfigStore.instance().store(
        group="hydra/launcher", name="local", node={"_target_": TARGET}, provider="prefix_rft"
    )
    sweeps.register()
