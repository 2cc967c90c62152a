"""`key=value` words of a command that composes no run: nested settings, values as YAML reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prefix_rft import plain_yaml
from prefix_rft.errors import SettingsError


def nested(words: Sequence[str], groups: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The settings that the words give, e.g. `sampler.batch=8` as `{"sampler": {"batch": 8}}`.

    Args:
        words: `key=value`, dots between the levels.
        groups: key of a group whose plain value names its kind, and the field that says the kind: with
            `{"sampler": "kind"}`, `sampler=vllm` means `sampler.kind=vllm`.

    Raises:
        SettingsError: a word is no `key=value`, its value is no YAML, or a key is given twice.
    """
    values: dict[str, Any] = {}
    for key, value in _pairs(words, groups or {}):
        _put(values, key.split("."), value, key)
    return values


def _pairs(words: Iterable[str], groups: Mapping[str, str]) -> Iterable[tuple[str, Any]]:
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not all(part.isidentifier() for part in key.split(".")):
            raise SettingsError(f"{word!r} is not a setting; write key=value, e.g. benchmarks=aime24,amc")
        yield (f"{key}.{groups[key]}" if key in groups else key), _value(word, text)


def _value(word: str, text: str) -> Any:
    try:
        return plain_yaml.load(text) if text else ""
    except ValueError as error:
        raise SettingsError(f"{word!r}: the value cannot be read ({error}); quote it if it is text") from None


def _put(values: dict[str, Any], path: Sequence[str], value: Any, key: str) -> None:
    *groups, last = path
    for name in groups:
        inner = values.setdefault(name, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"{key}: {name} is given as a value and as a group of settings")
        values = inner
    if last in values:
        raise SettingsError(f"{key} is given twice; say it once")
    values[last] = value
