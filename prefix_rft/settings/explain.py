"""What pydantic refuses, in the words of somebody who types settings."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from prefix_rft.errors import nearest, unknown


def explain(kind: type[BaseModel], item: dict[str, Any]) -> str:
    """One line for one of pydantic's errors: the key, the reason, what was given or meant."""
    path = _without_tags(kind, [str(part) for part in item["loc"]])
    name = ".".join(path) or "configuration"
    if item["type"] == "extra_forbidden":
        return f"{name}: {_unknown(name, path, _known_keys(kind))}"
    if item["type"].startswith("union_tag"):
        return f"{name}: {_kind(name, item['ctx'])}"
    message = str(item["msg"]).removeprefix("Value error, ")
    given = item.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool | None) else ""
    return f"{name}: {message}{shown}"


def tag(model: type[BaseModel]) -> tuple[str, str] | None:
    """The field that chooses this kind of a group, and its value; None where a group has one kind."""
    for key in ("kind", "name"):
        field = model.model_fields.get(key)
        if field is not None and get_origin(field.annotation) is Literal:
            return key, str(field.default)
    return None


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The groups of settings that a field of this type can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def _unknown(name: str, path: list[str], known: list[str]) -> str:
    if name in known:
        return f"the chosen {path[-2]} has no such setting; another {path[-2]} has"
    guess = nearest(name, known) or nearest(path[-1], known, cutoff=0.0)
    return "there is no such setting" + (f"; did you mean {guess!r}?" if guess else "")


def _kind(name: str, context: dict[str, Any]) -> str:
    """What is wrong with the choice of a kind."""
    key = context["discriminator"].replace("'", "")
    if "tag" not in context:
        return f"{name}.{key} must say which kind it is"
    return unknown(key, context["tag"], context["expected_tags"].replace("'", "").split(", "))


def _without_tags(kind: type[BaseModel], path: list[str]) -> list[str]:
    """A path as a user writes it: pydantic puts the chosen kind between two keys."""
    if not path or path[0] not in kind.model_fields:
        return path
    nested, rest = models_in(kind.model_fields[path[0]].annotation), path[1:]
    if len(nested) > 1:
        nested = [model for model in nested if rest and (tag(model) or ("", ""))[1] == rest[0]]
        rest = rest[1:] if nested else rest
    return path[:1] + (_without_tags(nested[0], rest) if nested else rest)


def _known_keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key below `kind`, through nested groups and all their kinds."""
    keys: list[str] = []
    for name, field in kind.model_fields.items():
        keys.append(prefix + name)
        for nested in models_in(field.annotation):
            keys += _known_keys(nested, f"{prefix}{name}.")
    return keys
