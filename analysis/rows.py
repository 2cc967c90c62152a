"""Rows of a sweep over several base models: what is compared, and which base model a row stands on."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from analysis.style import NAMES
from prefix_rft.runs.identity import settings_that_count
from prefix_rft.settings import RunConfig

Place = tuple[str, str]
"""What a row compares (its variant), and its base model in words; the second is empty where there is one."""
_PART = ", "
"""Between the parts of a label: `keep 0.5, base_seed=2`."""


def places(methods: Mapping[str, str], configs: Mapping[str, RunConfig]) -> dict[str, Place]:
    """Variant and base model of every row.

    A base model is named by the part of the label that all rows on it have and no other row has. Where some
    base model has no such name, or nothing stands on two of them, every row is a variant of its own.

    Args:
        methods: by label.
        configs: of one run of each row, by label; a row whose runs were never made has none.
    """
    keys = {label: _base_key(configs[label]) for label in methods if label in configs}
    trained = [label for label in methods if methods[label] != "base"]
    names = _names({label: keys[label] for label in trained if label in keys})
    found = {label: _split(label, names.values()) for label in trained}
    if not _repeated(found):
        return {label: (label, "") for label in methods}
    bases = {label: (NAMES["base"], names.get(keys.get(label, ""), label)) for label in methods}
    return {label: found.get(label, bases[label]) for label in methods}


def _names(keys: Mapping[str, str]) -> dict[str, str]:
    """A name for every base model, by key; nothing where one of them has none."""
    names = {key: _name(key, keys) for key in dict.fromkeys(keys.values())}
    return {} if None in names.values() else {key: name for key, name in names.items() if name}


def _name(key: str, keys: Mapping[str, str]) -> str | None:
    on_it = [set(label.split(_PART)) for label, other in keys.items() if other == key]
    elsewhere = {part for label, other in keys.items() if other != key for part in label.split(_PART)}
    common = set.intersection(*on_it) - elsewhere
    return min(common) if len(common) == 1 else None


def _split(label: str, names: Collection[str]) -> Place:
    parts = label.split(_PART)
    rest = [part for part in parts if part not in names]
    return _PART.join(rest), next((part for part in parts if part in names), "")


def _repeated(found: Mapping[str, Place]) -> bool:
    """Whether some variant stands on several base models, and every row on one of them."""
    variants = [variant for variant, _ in found.values()]
    return all(variant and base for variant, base in found.values()) and len(variants) > len(set(variants))


def _base_key(config: RunConfig) -> str:
    return json.dumps(settings_that_count("base", config), sort_keys=True)
