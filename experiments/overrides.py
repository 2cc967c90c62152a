"""What a user types, as Hydra wants it: every setting can be given without a plus, whether or not a file names it.

The configuration files state only what differs from the typed defaults, and Hydra refuses a plain `key=value` for a
key no file has. So a setting's override is passed on as `++key=value`; the typed configuration then judges the key,
and names the nearest one where it does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

CONF = Path(__file__).parent / "conf"
SWEEP = "sweep"
"""The group whose choices are the files of sweeps/."""
DEFAULT_SWEEP = "main_results"
"""What a command works on where no sweep is named."""

_OVERRIDE = re.compile(r"~|[+]{0,2}[A-Za-z_][\w.@/-]*=")
_NOT_A_SETTING = ("-", "~", "hydra.")
OF_THE_LAUNCHER = {"cluster": "hydra.launcher.cluster", "wait": "hydra.launcher.wait"}
"""What `hydra/launcher=slurm` is told, by the short name on the command line: it is no setting of a run."""
LAUNCHER = "hydra/launcher"


def for_hydra(arguments: Sequence[str]) -> list[str]:
    """A command line as Hydra accepts it: flags first, then overrides, those of settings with two plus signs."""
    flags = [argument for argument in arguments if not _OVERRIDE.match(argument)]
    return [*flags, *map(_override, filter(_OVERRIDE.match, arguments))]


def is_setting(override: str) -> bool:
    """Whether an override sets a single setting, rather than choosing a file of a group or speaking to Hydra."""
    key, equals, _ = override.lstrip("+").partition("=")
    return (
        bool(equals)
        and not key.startswith(_NOT_A_SETTING)
        and "/" not in key
        and key.partition("@")[0] not in groups()
    )


@cache
def groups() -> frozenset[str]:
    """Names of the groups: folders of the configuration tree, and `sweep`."""
    return frozenset({folder.name for folder in CONF.iterdir() if folder.is_dir()} | {SWEEP})


def _override(override: str) -> str:
    key, _, value = override.partition("=")
    if key == SWEEP:
        return f"+{override}"
    if key in OF_THE_LAUNCHER:
        return f"{OF_THE_LAUNCHER[key]}={value}"
    if override == "launcher=slurm":
        return f"{LAUNCHER}=slurm"
    return f"++{override.lstrip('+')}" if is_setting(override) else override
