"""Settings of runs, leaf by leaf: value, type, default and meaning; what they have in common is said once."""

from __future__ import annotations

import json
import types
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from prefix_rft.runs.identity import Kind, settings_that_count
from prefix_rft.settings import RunConfig


@dataclass(frozen=True)
class Leaf:
    """One setting of one run."""

    value: str
    """As it is written on a command line."""
    kind: str
    """Its type in words."""
    default: str
    """Of the typed settings; empty where there is none."""
    meaning: str
    """What stands under the field."""


Leaves = dict[str, Leaf]


def leaves(config: RunConfig, kind: Kind) -> Leaves:
    """Every setting of a run by its dotted name; of a base model's run only those that count for it."""
    found = dict(_leaves(config))
    if kind == "train":
        return found
    counted = counted_names(config, kind)
    return {name: leaf for name, leaf in found.items() if name in counted}


def counted_names(config: RunConfig, kind: Kind) -> set[str]:
    """Dotted names of the settings that name the run."""
    return set(_names(settings_that_count(kind, config)))


def commonest(runs: Sequence[Leaves]) -> Leaves:
    """Each setting as most of the runs have it; the earlier of equals."""
    counts: dict[str, Counter[Leaf]] = {}
    for run in runs:
        for name, leaf in run.items():
            counts.setdefault(name, Counter())[leaf] += 1
    return {name: counter.most_common(1)[0][0] for name, counter in counts.items()}


def differing(runs: Sequence[Leaves]) -> list[str]:
    """Names of the settings in which these runs are not alike, in the order of the settings."""
    names = dict.fromkeys(name for run in runs for name in run)
    return [name for name in names if len({run[name].value if name in run else None for run in runs}) > 1]


def _leaves(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, Leaf]]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _leaf(type(settings), name, _written(value))


@lru_cache(maxsize=1 << 16)
def _leaf(kind: type[BaseModel], name: str, value: str) -> Leaf:
    """One for all runs that have the setting alike."""
    field = kind.model_fields[name]
    return Leaf(value, _type(field), _written(_default(field)), _meaning(field))


def _names(value: Any, prefix: str = "") -> Iterator[str]:
    """Leaves by name; a setting that holds a mapping of its own is a leaf under its own name too."""
    if isinstance(value, Mapping):
        for name, nested in value.items():
            yield from _names(nested, f"{prefix}.{name}".strip("."))
    yield prefix


def _default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    return "" if value is PydanticUndefined else value


def _written(value: Any) -> str:
    """A value as YAML and a command line have it."""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_written, value))}]"
    return json.dumps(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)


def _meaning(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _type(field: FieldInfo) -> str:
    return _said(field.annotation)


_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    type(None): "null",
}


def _said(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, parts))
    if origin in (Union, types.UnionType):
        return " or ".join(map(_said, parts))
    if origin in (tuple, list):
        return f"list of {_said(parts[0])}"
    if origin is dict:
        return "mapping"
    return _WORDS.get(annotation, "group")
