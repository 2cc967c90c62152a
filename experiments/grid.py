"""From a sweep and a command line to cells, by Hydra's override grammar: `seed=0,1`, `choice(a,b)`, `range(0,4)`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from experiments.overrides import for_hydra, is_setting
from experiments.sweeps import SCALE, Sweep, Value, overrides, varied_overrides
from prefix_rft.errors import SettingsError


@dataclass(frozen=True)
class GridCell:
    """One cell of a sweep."""

    overrides: tuple[str, ...]
    """As Hydra accepts them."""
    variant: str | None
    """Name of the variant; None in a sweep without."""


@dataclass(frozen=True)
class Grid:
    """A sweep under a command line."""

    sweep: Sweep
    """As it is at the command line's scale."""
    cells: tuple[GridCell, ...]
    varied: tuple[str, ...]
    """Settings and groups that differ between the cells of one variant."""


def expand(sweep: Sweep, given: Sequence[str] = ()) -> Grid:
    """The cells of a sweep; every table, plan and run of it comes from here.

    Args:
        sweep: as its file has it.
        given: the command line; it narrows what is varied, replaces what is fixed, and adds to every cell.

    Raises:
        SettingsError: it sets what a variant sets, or names several scales of a sweep that depends on the scale.
    """
    line = for_hydra(given)
    at = sweep.at(_scale(sweep, axes(line)))
    _refuse_what_variants_set(at, axes(line))
    of_variant = {variant: _axes_of(at, settings, line) for variant, settings in _variants(at)}
    cells = [
        GridCell(tuple(cell), variant) for variant, own in of_variant.items() for cell in combinations(own)
    ]
    varied = dict.fromkeys(
        key for own in of_variant.values() for key, values in own.items() if len(values) > 1
    )
    return Grid(at, tuple(cells), tuple(varied))


def axes(overrides: Iterable[str]) -> dict[str, list[str]]:
    """Overrides of one value for every key; where a key is given twice, the later one holds, in the first's place."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return {override.get_key_element().lstrip("+"): _values(override) for override in parsed}


def combinations(axes: Mapping[str, list[str]]) -> list[list[str]]:
    """Every combination, the last axis moving fastest."""
    return [list(cell) for cell in itertools.product(*axes.values())]


def value(cell: Sequence[str], key: str) -> str | None:
    """What a cell's overrides set a key to."""
    given = (override.lstrip("+").partition("=") for override in cell)
    return next((value for name, _, value in given if name == key), None)


def _variants(sweep: Sweep) -> Iterable[tuple[str | None, Mapping[str, Value]]]:
    return sweep.variants.items() or [(None, {})]


def _axes_of(sweep: Sweep, variant: Mapping[str, Value], line: Sequence[str]) -> dict[str, list[str]]:
    """What is fixed, what the variant sets in its place, what varies, and the command line over all of them."""
    own = [*overrides({**sweep.fixed, **variant}), *varied_overrides(sweep.vary)]
    return axes([*for_hydra(own), *line])


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def _scale(sweep: Sweep, given: Mapping[str, list[str]]) -> str:
    scales = [str(value([override], SCALE)) for override in given.get(SCALE, [])] or [sweep.scale]
    if len(scales) > 1 and any(scale in sweep.scales for scale in scales):
        raise SettingsError(
            f"scale={','.join(scales)}: this sweep has other cells at scale={', '.join(sweep.scales)}; "
            "give one scale at a time"
        )
    return scales[0]


def _refuse_what_variants_set(sweep: Sweep, given: Mapping[str, list[str]]) -> None:
    for key in given:
        rows = [row for row, settings in sweep.variants.items() if any(_covers(key, k) for k in settings)]
        if rows:
            raise SettingsError(
                f"{key} is what tells the rows of this sweep apart and cannot be given: "
                f"{', '.join(map(repr, rows))} set it"
            )


def _covers(key: str, other: str) -> bool:
    """Whether giving `key` would change what a variant says of `other`; a group's file comes before all settings."""
    return key == other or (is_setting(f"{key}=") and other.startswith(f"{key}."))
