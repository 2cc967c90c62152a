"""From overrides to the typed configuration of a run, or of many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.overrides import CONF, LAUNCHER, OF_THE_LAUNCHER, for_hydra
from experiments.sweeps import register
from prefix_rft.errors import SettingsError, unknown
from prefix_rft.settings import RunConfig, parse

GRAMMAR = "https://hydra.cc/docs/1.3/advanced/override_grammar/basic/"
_SETTING = "++"
"""What `for_hydra` puts before the override of a single setting."""


def compose(overrides: Sequence[str] = ()) -> RunConfig:
    """Compose and validate one run's configuration.

    Args:
        overrides: as on the command line, e.g. `["method=rft", "seed=1"]`.

    Raises:
        SettingsError: names what is unknown or contradictory.
    """
    return compose_all([overrides])[0]


def compose_all(cells: Sequence[Sequence[str]]) -> list[RunConfig]:
    """Compose and validate the configurations of many cells.

    Raises:
        SettingsError: names what is unknown or contradictory, and in which cell.
    """
    with hydras_refusals():
        return Composer(lambda files: _compose_files(*files)).all([for_hydra(cell) for cell in cells])


@cache
def _compose_files(*choices: str) -> DictConfig:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra_compose("config", overrides=list(choices))


class Composer:
    """Composes cells; those that choose the same files share one composition by Hydra, which takes 0.1 s."""

    def __init__(self, load: Callable[[list[str]], DictConfig]) -> None:
        """`load` composes by Hydra's rules."""
        self._load = load
        self._loaded: dict[tuple[str, ...], dict[str, Any]] = {}
        self._parsed: dict[str, Override] = {}
        self._parser = OverridesParser.create()

    def all(self, cells: Sequence[Sequence[str]]) -> list[RunConfig]:
        """The typed configuration of every cell, given as Hydra's overrides.

        Raises:
            SettingsError: names what is unknown or contradictory, and in which cell.
        """
        return [self._one(cell, alone=len(cells) == 1) for cell in cells]

    def _one(self, cell: Sequence[str], *, alone: bool) -> RunConfig:
        try:
            return _parsed(self._compose(cell))
        except SettingsError as error:
            if alone:
                raise
            raise SettingsError(f"{' '.join(part.lstrip('+') for part in cell)}: {error}") from None

    def _compose(self, cell: Sequence[str]) -> dict[str, Any]:
        """Files by Hydra, then single settings as Hydra would set them.

        On plain values: OmegaConf's nodes take ten times as long to copy and to change, which thousands of cells feel.
        """
        files = tuple(part for part in cell if not part.startswith(_SETTING))
        _must_not_contradict(files, cell)
        if files not in self._loaded:
            self._loaded[files] = _plain(self._load(list(files)))
        composed = deepcopy(self._loaded[files])
        for override in map(self._override, (part for part in cell if part.startswith(_SETTING))):
            if override.is_sweep_override():
                given = str(override.input_line).lstrip("+")
                raise SettingsError(f"{given} is a sweep: add --multirun; a list is written key=[a,b]")
            if override.package is not None:
                raise SettingsError(
                    f"{str(override.input_line).lstrip('+')}: a setting has no package, leave out @"
                )
            composed = _updated(composed, override.key_or_group, deepcopy(override.value()))
        return composed

    def _override(self, text: str) -> Override:
        if text not in self._parsed:
            (self._parsed[text],) = self._parser.parse_overrides([text])
        return self._parsed[text]


def typed(composed: DictConfig) -> RunConfig:
    """The typed configuration of a composed one, with or without the `hydra` node.

    Raises:
        SettingsError: names what is unknown, missing or contradictory.
    """
    return _parsed(_plain(composed))


def _plain(composed: DictConfig) -> dict[str, Any]:
    """Without Hydra's own node; what needs a value or refers to another one stands as it is written."""
    ours = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    values = OmegaConf.to_container(ours, resolve=False)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _must_not_contradict(files: Sequence[str], cell: Sequence[str]) -> None:
    """Whether a deletion comes before or after a setting below it would decide, and nobody reads it so.

    Raises:
        SettingsError: something is deleted and set.
    """
    keys = [part.lstrip("+").partition("=")[0] for part in cell if part.startswith(_SETTING)]
    for part in files:
        gone = part.removeprefix("~").partition("=")[0]
        clash = [key for key in keys if part.startswith("~") and (key == gone or key.startswith(f"{gone}."))]
        if clash:
            raise SettingsError(f"~{gone} and {clash[0]}=... contradict each other: leave one of them out")


def _updated(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """One setting changed: groups are merged, everything else is replaced."""
    if _meets_a_list(values, key):
        changed = OmegaConf.create(values)
        OmegaConf.update(changed, key, value, merge=True, force_add=True)
        return _plain(changed)
    *path, last = key.split(".")
    place = values
    for name in path:
        if not isinstance(place.get(name), dict):
            place[name] = {}
        place = place[name]
    place[last] = _merged(place.get(last), value)
    return values


def _meets_a_list(values: Any, key: str) -> bool:
    """Whether the key names an element of a list, which OmegaConf counts."""
    for name in key.split("."):
        if isinstance(values, list):
            return True
        values = values.get(name) if isinstance(values, dict) else None
    return False


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {name: _merged(old.get(name), value) for name, value in new.items()}


def _parsed(values: dict[str, Any]) -> RunConfig:
    """The typed configuration of plain values; OmegaConf resolves those that refer to others."""
    if any("${" in text or text == MISSING for text in _texts(values)):
        try:
            resolved = OmegaConf.to_container(OmegaConf.create(values), resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            key = getattr(error, "full_key", None)
            raise SettingsError(f"{key}: needs a value, e.g. {key}=<value>" if key else str(error)) from None
        assert isinstance(resolved, dict)
        values = {str(key): value for key, value in resolved.items()}
    return parse(RunConfig, values)


def _texts(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _texts(value)


@contextmanager
def hydras_refusals() -> Iterator[None]:
    """Say what Hydra refuses in the words of this suite.

    Raises:
        SettingsError: names what was not understood, and the choices.
    """
    try:
        yield
    except MissingConfigException as error:
        raise SettingsError(_no_such_choice(error)) from error
    except OverrideParseException as error:
        given = error.override.lstrip("+")
        raise SettingsError(
            f"{given!r} cannot be read ({_first_line(error)}); what needs quotes: {GRAMMAR}"
        ) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise SettingsError(_not_the_launchers(str(error)) or str(error).replace("++", "")) from error
    except (ValueError, RecursionError) as error:  # Hydra's, of `model=null` and of numbers of 5,000 digits
        raise SettingsError(_first_line(error)) from error


def _not_the_launchers(said: str) -> str | None:
    """For what only one launcher understands, and another was given."""
    name = next((name for name, key in OF_THE_LAUNCHER.items() if f"'{key}'" in said), None)
    return f"{name}=... belongs to {LAUNCHER}=slurm: add it" if name else None


def _no_such_choice(error: MissingConfigException) -> str:
    if not (error.missing_cfg_file and error.options):
        return str(error)
    group, _, choice = error.missing_cfg_file.rpartition("/")
    return unknown(group, choice, error.options)


def _first_line(error: Any) -> str:
    return str(error).partition("\n")[0]
