"""A sweep's axes and their combinations, by Hydra's override grammar: `seed=0,1`, `choice(a,b)`, `range(0,4)`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override


def axes(overrides: Iterable[str]) -> dict[str, list[str]]:
    """Overrides of one value for every key; where a key is given twice, the later one holds, in the first's place."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return {override.get_key_element().lstrip("+"): _values(override) for override in parsed}


def combinations(axes: dict[str, list[str]]) -> list[list[str]]:
    """Every combination, the last axis moving fastest."""
    return [list(cell) for cell in itertools.product(*axes.values())]


def value(cell: Sequence[str], key: str) -> str | None:
    """What a cell's overrides set a key to."""
    given = (override.lstrip("+").partition("=") for override in cell)
    return next((value for name, _, value in given if name == key), None)


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
