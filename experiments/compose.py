"""From Hydra's composed configuration to the typed one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefix_rft.errors import SettingsError
from prefix_rft.settings import RunConfig, parse

CONF = Path(__file__).parent / "conf"


def compose(overrides: Sequence[str] = ()) -> RunConfig:
    """Compose and validate one run's configuration.

    Args:
        overrides: as on the command line, e.g. `["method=rft", "seed=1"]`.

    Raises:
        SettingsError: names what is unknown or contradictory.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from experiments.overrides import for_hydra
    from experiments.sweeps import register

    register()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return typed(hydra_compose("config", overrides=for_hydra(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        raise SettingsError(str(error)) from None


def typed(composed: Any) -> RunConfig:
    """The typed configuration of a composed one (a DictConfig, with or without the `hydra` node)."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        ours = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
        values = OmegaConf.to_container(ours, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        raise SettingsError(f"{key}: needs a value, e.g. {key}=<value>" if key else str(error)) from None
    assert isinstance(values, dict)
    return parse(RunConfig, {str(key): value for key, value in values.items()})
