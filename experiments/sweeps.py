"""Sweep files: what varies, over which seeds, and which table or figure it reproduces."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from experiments.overrides import SWEEP, for_hydra
from prefix_rft.errors import SettingsError, unknown
from prefix_rft.settings import Settings, parse

Value = str | int | float | bool | None


class Sweep(Settings):
    """One sweep file."""

    title: str = Field(min_length=1)
    """What it is called in a report."""
    reproduces: str = Field(min_length=1)
    """The table or figure, and of which paper."""
    compare: str = Field(min_length=1)
    """The setting whose values are the rows of the table."""
    vary: dict[str, list[Value]] = Field(min_length=1)
    """Settings or groups and their values; every combination is one cell."""
    fixed: dict[str, Value] = Field(default_factory=dict)
    """Settings or groups that all cells share and that differ from the defaults."""
    cost: dict[str, str] = Field(default_factory=dict)
    """What it should cost, by scale."""

    def overrides(self) -> list[str]:
        """As on a command line with `--multirun`: what is fixed, then what varies."""
        fixed = [f"{key}={_override_value(value)}" for key, value in self.fixed.items()]
        varied = [f"{key}={','.join(map(_override_value, values))}" for key, values in self.vary.items()]
        return fixed + varied


def names() -> list[str]:
    """Names of the sweeps that come with the suite."""
    return sorted(
        file.name.removesuffix(".yaml") for file in _folder().iterdir() if file.name.endswith(".yaml")
    )


def load(name: str) -> Sweep:
    """The sweep of that name.

    Raises:
        SettingsError: there is no such sweep, or its file is malformed.
    """
    if name not in names():
        raise SettingsError(unknown("sweep", name, names()) + " Add one as sweeps/<name>.yaml.")
    return read(Path(str(_folder() / f"{name}.yaml")))


def read(file: Path) -> Sweep:
    """A sweep from its file."""
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError(f"{file}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: a sweep is a mapping with the keys {', '.join(Sweep.model_fields)}")
    try:
        sweep = parse(Sweep, values)
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}") from None
    if sweep.compare not in sweep.vary:
        raise SettingsError(
            f"{file}: compare={sweep.compare!r} is not among the varied: {', '.join(sweep.vary)}"
        )
    return sweep


def register() -> None:
    """Make `+sweep=<name>` known to Hydra."""
    from hydra.core.config_store import ConfigStore

    for name in names():
        ConfigStore.instance().store(
            group=SWEEP, name=name, node=_hydra_node(name, load(name)), package="_global_"
        )


def _hydra_node(name: str, sweep: Sweep) -> dict[str, Any]:
    parts = [override.partition("=") for override in for_hydra(sweep.overrides())]
    return {SWEEP: name, "hydra": {"sweeper": {"params": {key: value for key, _, value in parts}}}}


def _override_value(value: Value) -> str:
    """The value as Hydra's override grammar reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _folder() -> Any:
    return resources.files("sweeps")
