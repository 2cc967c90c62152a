"""Which sweeps a command line names, and what it says of their settings."""

from __future__ import annotations

from collections.abc import Sequence

from experiments import sweeps
from experiments.overrides import DEFAULT_SWEEP, SWEEP
from prefix_rft.errors import SettingsError

ALL = "all"


def any_sweeps_and_overrides(asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """As `sweeps_and_overrides`; all sweeps where none is named."""
    return sweeps_and_overrides(asked, otherwise=ALL)


def sweeps_and_overrides(asked: Sequence[str], otherwise: str = DEFAULT_SWEEP) -> tuple[list[str], list[str]]:
    """Sweeps, as `name`, `sweep=name` or `+sweep=name,name`, and the other arguments.

    Args:
        asked: arguments of a command.
        otherwise: what no name stands for.

    Raises:
        SettingsError: a sweep is named twice.
    """
    named: list[str] = []
    overrides: list[str] = []
    for argument in asked:
        key, equals, value = argument.lstrip("+").partition("=")
        if equals and key == SWEEP:
            named += value.split(",")
        elif equals or argument.startswith("~"):
            overrides.append(argument)
        else:
            named.append(argument)
    named = named or [otherwise]
    if ALL in named and len(named) > 1:
        raise SettingsError(
            f"{ALL} is every sweep: leave out {', '.join(name for name in named if name != ALL)}"
        )
    return _distinct(sweeps.names() if ALL in named else named), overrides


def sweep_and_overrides(asked: Sequence[str]) -> tuple[str, list[str]]:
    """The one sweep of a command that shows one.

    Raises:
        SettingsError: several are named.
    """
    named, overrides = sweeps_and_overrides(asked)
    if len(named) > 1:
        raise SettingsError(f"one sweep at a time, not {', '.join(named)}")
    return named[0], overrides


def sweeps_of(only: str | None) -> list[str]:
    """Sweeps separated by commas; all of them where nothing is given."""
    return sweeps.names() if only is None else _distinct([name.strip() for name in only.split(",")])


def _distinct(named: list[str]) -> list[str]:
    twice = [name for name in dict.fromkeys(named) if named.count(name) > 1]
    if twice:
        raise SettingsError(f"the sweep {twice[0]} is named twice")
    return named
