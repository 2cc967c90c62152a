"""What all settings share: they are frozen, refuse unknown keys, and say which key was meant."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from prefix_rft.errors import SettingsError, nearest

Parsed = TypeVar("Parsed", bound="Settings")


class Settings(BaseModel):
    """A group of settings; each field is documented by the string under it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


def parse(kind: type[Parsed], values: dict[str, Any]) -> Parsed:
    """Validate plain values as `kind`.

    Raises:
        SettingsError: names every offending key, the reason, and for an unknown key the nearest known one.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        lines = [_explain(kind, dict(item)) for item in error.errors()]
        raise SettingsError("the configuration is refused:\n  " + "\n  ".join(lines)) from None


def _explain(kind: type[Settings], item: dict[str, Any]) -> str:
    path = _without_tags(kind, [str(part) for part in item["loc"]])
    name = ".".join(path) or "configuration"
    if item["type"] == "extra_forbidden":
        known = _known_keys(kind)
        if name in known:
            return f"{name}: the chosen {path[-2]} has no such setting; another {path[-2]} has"
        guess = nearest(name, known) or nearest(path[-1], known, cutoff=0.0)
        return f"{name}: there is no such setting" + (f"; did you mean {guess!r}?" if guess else "")
    message = str(item["msg"]).removeprefix("Value error, ")
    given = item.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool | None) else ""
    return f"{name}: {message}{shown}"


def _without_tags(kind: type[BaseModel], path: list[str]) -> list[str]:
    """A path as a user writes it: pydantic puts the chosen member of a union between two keys."""
    if not path or path[0] not in kind.model_fields:
        return path
    nested, rest = _models_in(kind.model_fields[path[0]].annotation), path[1:]
    if len(nested) > 1:
        nested = [model for model in nested if rest[:1] == [_tag(model)]]
        rest = rest[1:] if nested else rest
    return path[:1] + (_without_tags(nested[0], rest) if nested else rest)


def _tag(model: type[BaseModel]) -> str | None:
    """What chooses this member of a union: its `kind` or `name`."""
    field = model.model_fields.get("kind") or model.model_fields.get("name")
    return None if field is None else str(field.default)


def _known_keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key below `kind`, through nested groups and the members of unions."""
    keys: list[str] = []
    for name, field in kind.model_fields.items():
        keys.append(prefix + name)
        for nested in _models_in(field.annotation):
            keys += _known_keys(nested, f"{prefix}{name}.")
    return keys


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
