"""YAML as plain values: whatever is wrong with a text is one ValueError, and no text ends or blocks the process.

PyYAML raises errors of many kinds (`2020-13-45`, `!!bool x`), and nesting of some ten thousand levels overflows the
stack of its C parser, which ends the process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import yaml

DEEPEST = 64
"""Levels of nesting; no settings have a tenth of it."""
MOST_VALUES = 200_000
"""Values in all: a few lines of aliases can stand for billions."""
_SURELY_SHALLOW = 1 << 13
"""Characters that cannot overflow the parser's stack."""

_ENTRY = re.compile(r"^(?=[A-Za-z_]\w*:(?: |$))", re.MULTILINE | re.ASCII)
"""Where an entry of the outermost mapping begins: whatever belongs to one is indented."""
_OF_THE_WHOLE = re.compile(r"^(?:---|\.\.\.|%)|[\r\x85\u2028\u2029\ufeff]|[&*]|<<", re.MULTILINE)
"""What stands between documents, line ends of other kinds, and what may tie parts together: anchors and merges."""
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def load(text: str) -> Any:
    """The values that a text stands for: dictionaries, lists, texts, numbers, dates, true, false and null.

    Raises:
        ValueError: says in one line why the text cannot be read.
    """
    parts = _parts(text)
    if parts is None:
        return _whole(text)
    try:
        return {key: value for part in parts for key, value in deepcopy(_kept(part)).items()}
    except (ValueError, AttributeError):
        return _whole(text)  # which says where and why, or that it is right after all


def _parts(text: str) -> list[str] | None:
    """A mapping's entries, each a text of its own; None where that is not to be seen at once.

    The runs of a sweep share most of their settings, so that most of their parts were read before.
    """
    if len(text) > _SURELY_SHALLOW or _OF_THE_WHOLE.search(text) or not _ENTRY.match(text):
        return None
    return [part for part in _ENTRY.split(text) if part]


@lru_cache(maxsize=1024)
def _kept(part: str) -> Any:
    return _whole(part)


def _whole(text: str) -> Any:
    try:
        if len(text) > _SURELY_SHALLOW:
            _refuse_deep(text)
        values = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
    _refuse_endless(values)
    return values


def dump(values: Mapping[str, Any]) -> str:
    """The text that stands for values that JSON can hold too, keys in their order.

    The runs of a sweep share most of their settings: the text of a part is kept and found again by its content.
    """
    return "".join(_part(json.dumps({key: value})) for key, value in values.items())


@lru_cache(maxsize=1024)
def _part(text: str) -> str:
    try:
        return str(yaml.dump(json.loads(text), Dumper=_Dumper, sort_keys=False, allow_unicode=True))
    except UnicodeEncodeError:  # bytes that are no text: the C emitter cannot write them, the other can
        return str(yaml.dump(json.loads(text), Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True))


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
