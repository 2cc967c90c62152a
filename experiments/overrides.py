"""What a user types, as Hydra wants it: every setting can be given without a plus, whether or not a file names it.

The configuration files state only what differs from the typed defaults, and Hydra refuses a plain `key=value` for a
key no file has. So a setting's override is passed on as `++key=value`; the typed configuration then judges the key,
and names the nearest one where it does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_CONF = Path(__file__).parent / "conf"
_HYDRAS_OWN = ("-", "+", "~", "hydra.", "hydra/")


def for_hydra(arguments: Sequence[str]) -> list[str]:
    """Arguments of a command line with settings' overrides made acceptable; everything else as it is."""
    return [f"++{argument}" if is_setting(argument) else argument for argument in arguments]


def is_setting(argument: str) -> bool:
    """Whether an argument sets a single setting, rather than choosing a file of a group or speaking to Hydra."""
    key, equals, _ = argument.partition("=")
    return bool(equals) and not argument.startswith(_HYDRAS_OWN) and key.partition("@")[0] not in groups()


def groups() -> set[str]:
    """Names of the groups: folders of the configuration tree, and `sweep`."""
    return {folder.name for folder in _CONF.iterdir() if folder.is_dir()} | {"sweep"}
