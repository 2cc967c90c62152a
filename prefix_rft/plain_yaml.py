"""YAML as plain values: whatever is wrong with a text is one ValueError, and no text ends or blocks the process.

PyYAML raises errors of many kinds (`2020-13-45`, `!!bool x`), and nesting of some ten thousand levels overflows the
stack of its C parser, which ends the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

DEEPEST = 64
"""Levels of nesting; no settings have a tenth of it."""
MOST_VALUES = 200_000
"""Values in all: a few lines of aliases can stand for billions."""
_SURELY_SHALLOW = 1 << 13
"""Characters that cannot overflow the parser's stack."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str) -> Any:
    """The values that a text stands for: dictionaries, lists, texts, numbers, dates, true, false and null.

    Raises:
        ValueError: says in one line why the text cannot be read.
    """
    try:
        if len(text) > _SURELY_SHALLOW:
            _refuse_deep(text)
        values = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
    _refuse_endless(values)
    return values


def _refuse_deep(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it nests more than {DEEPEST} levels deep")


def _refuse_endless(values: Any) -> None:
    waiting, seen = [(values, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_VALUES:
            raise ValueError(
                f"it nests more than {DEEPEST} levels deep, or holds more than {MOST_VALUES} values"
            )
        waiting.extend((inner, depth + 1) for inner in _inner(value))


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list | tuple | set):
        yield from value
