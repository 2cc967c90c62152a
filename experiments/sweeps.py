"""Sweep files: what varies, over which seeds, and which table or figure it reproduces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from experiments.overrides import CONF, SWEEP
from prefix_rft import plain_yaml
from prefix_rft.errors import SettingsError, unknown
from prefix_rft.settings import Settings, parse

Plain = str | int | float | bool | None
Value = Plain | list[Plain]
VARIANTS = "variants"
"""What `compare` says where the rows of the table are the named variants."""
SCALE = "scale"
DEFAULT_SCALE = "toy"
_BARE = re.compile(r"(?!(?:true|false|null|nan|inf)\Z)[a-z_/][\w./:@%+-]*", re.ASCII | re.IGNORECASE)
"""Texts that Hydra's grammar reads as themselves without quotes: no numbers, no `true`, no `null`."""
_BEFORE_QUOTE = re.compile(r"(\\*)('|\Z)")
"""A quote or the text's end with its backslashes: elsewhere the grammar takes a backslash as it stands."""


class Parts(Settings):
    """What a sweep says otherwise at one scale; a part that is named here stands in place of the sweep's own."""

    compare: str | None = Field(None, min_length=1)
    """The setting whose values are the rows of the table."""
    variants: dict[str, dict[str, Value]] | None = None
    """Rows of the table by name, each with its settings or groups."""
    vary: dict[str, list[Value]] | None = None
    """Settings or groups and their values."""
    fixed: dict[str, Value] | None = None
    """Settings or groups that all cells share."""


class Sweep(Settings):
    """One sweep file."""

    title: str = Field(min_length=1)
    """What it is called in a report."""
    reproduces: str = Field(min_length=1)
    """The table or figure, and of which paper."""
    compare: str = Field(min_length=1)
    """The setting whose values are the rows of the table; `variants` where they have names of their own."""
    variants: dict[str, dict[str, Value]] = Field(default_factory=dict)
    """Rows of the table by name, each with the settings or groups in which it differs from the others."""
    vary: dict[str, list[Value]] = Field(default_factory=dict)
    """Settings or groups and their values; every combination of them, of every variant, is one cell."""
    fixed: dict[str, Value] = Field(default_factory=dict)
    """Settings or groups that all cells share and that differ from the defaults; `scale` too can stand here."""
    scales: dict[str, Parts] = Field(default_factory=dict)
    """What is otherwise at a scale, by scale."""
    cost: dict[str, str] = Field(default_factory=dict)
    """What it should cost, by scale."""

    @model_validator(mode="after")
    def parts_agree(self) -> Self:
        """Rows are among what differs, and no key is set twice."""
        _has_rows(self)
        _sets_no_key_twice(self)
        _scales_are_known(self)
        for scale in self.scales:
            at = self.at(scale)
            _has_rows(at)
            _sets_no_key_twice(at)
        return self

    @property
    def scale(self) -> str:
        """The scale where the command line names none."""
        return str(self.fixed.get(SCALE, DEFAULT_SCALE))

    def at(self, scale: str) -> Sweep:
        """The sweep as it is at one scale."""
        parts = self.scales.get(scale)
        named = {} if parts is None else {name: getattr(parts, name) for name in parts.model_fields_set}
        return self.model_copy(update={**named, "scales": {}})


def overrides(settings: Mapping[str, Value]) -> list[str]:
    """Settings as on a command line."""
    return [f"{key}={_override_value(value)}" for key, value in settings.items()]


def varied_overrides(vary: Mapping[str, list[Value]]) -> list[str]:
    """Varied settings as on a command line with `--multirun`."""
    return [f"{key}={','.join(map(_override_value, values))}" for key, values in vary.items()]


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
    """A sweep from its file, which is read again only when it changes."""
    found = file.stat()
    return _read(file, (found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=64)
def _read(file: Path, stamp: tuple[int, int]) -> Sweep:
    try:
        values = plain_yaml.load(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingsError(f"{file}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: a sweep is a mapping with the keys {', '.join(Sweep.model_fields)}")
    try:
        return parse(Sweep, values)
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}") from None


def register() -> None:
    """Make `+sweep=<name>` known to Hydra; the sweeper reads the file."""
    from hydra.core.config_store import ConfigStore

    for name in names():
        node = {SWEEP: name, "hydra": {"sweeper": {SWEEP: name}}}
        ConfigStore.instance().store(group=SWEEP, name=name, node=node, package="_global_")


def _has_rows(sweep: Sweep) -> None:
    if not sweep.vary and not sweep.variants:
        raise ValueError("a sweep needs vary, variants or both")
    if any(not values for values in sweep.vary.values()):
        raise ValueError("a varied setting needs at least one value")
    rows = [*sweep.vary, *([VARIANTS] if sweep.variants else [])]
    if sweep.compare not in rows:
        raise ValueError(f"compare={sweep.compare!r} is not among the varied: {', '.join(rows)}")


def _sets_no_key_twice(sweep: Sweep) -> None:
    for label, settings in sweep.variants.items():
        twice = next((key for key in settings if key in sweep.vary), None)
        if twice:
            raise ValueError(f"{twice} is varied and also set by the variant {label!r}: keep one of them")


def _scales_are_known(sweep: Sweep) -> None:
    """A scale that is misspelt would say nothing anywhere."""
    known = sorted(file.stem for file in (CONF / SCALE).glob("*.yaml"))
    for scale in (*sweep.scales, *sweep.cost):
        if scale not in known:
            raise ValueError(unknown(SCALE, scale, known))
    if sweep.scales and (SCALE in sweep.vary or any(SCALE in keys for keys in sweep.variants.values())):
        raise ValueError("a sweep whose parts depend on the scale cannot vary it")


def _override_value(value: Value) -> str:
    """The value as Hydra's override grammar reads it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_override_value, value))}]"
    if isinstance(value, str) and not _BARE.fullmatch(value):
        return "'" + _BEFORE_QUOTE.sub(lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value) + "'"
    return str(value)


def _folder() -> Any:
    return resources.files("sweeps")
