"""`python -m experiments.commands.settings_reference`: writes docs/settings.md from the settings' own classes."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from prefix_rft.settings import RunConfig
from prefix_rft.settings.base import Settings
from prefix_rft.settings.explain import models_in, tag

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
_HEAD = """\
# Settings

Written by `python -m experiments.commands.settings_reference`; do not edit.

Any of them can be given to `python -m experiments.run` as `key=value`. The defaults here are those of the typed
settings; the files of `experiments/conf/` (`scale=toy` unless another scale is chosen) set some of them otherwise:
`python -m experiments.run --cfg job` shows which.
"""
_BOUNDS = {annotated_types.Ge: "≥ {.ge}", annotated_types.Gt: "> {.gt}", annotated_types.Le: "≤ {.le}"}
_BOUNDS |= {annotated_types.Lt: "< {.lt}", annotated_types.MinLen: "not empty"}


def reference() -> str:
    """The page: every setting with its range, default and meaning."""
    run_wide = [row for name in RunConfig.model_fields for row in _own_rows(RunConfig, name)]
    sections = [_section("The run", "", run_wide)] if run_wide else []
    for name, field in RunConfig.model_fields.items():
        sections += _sections(name, field)
    return "\n".join([_HEAD, *sections])


def write() -> None:
    """Write the page."""
    PAGE.write_text(reference(), encoding="utf-8")


def _own_rows(kind: type[BaseModel], name: str) -> Iterator[str]:
    """The row of a field that is a single setting."""
    field = kind.model_fields[name]
    if not models_in(field.annotation):
        yield _row(name, field, field.default)


def _sections(name: str, field: FieldInfo, depth: int = 2) -> Iterator[str]:
    """A section for a group of settings, or for each kind that it can be; then those of choices inside it."""
    models = models_in(field.annotation)
    for model in models:
        title = f"`{name}`" if len(models) == 1 else f"`{name}.{_chooser(model)}`"
        rows = list(_rows(model, name, None if field.is_required() or len(models) > 1 else field.default))
        yield _section(title, f"{field.description}\n\n{model.__doc__ or ''}", rows, depth)
        for inner, nested in model.model_fields.items():
            if len(models_in(nested.annotation)) > 1:
                yield from _sections(f"{name}.{inner}", nested, depth + 1)


def _section(title: str, text: str, rows: list[str], depth: int = 2) -> str:
    paragraphs = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n") if part.strip())
    head = [f"{'#' * depth} {title}", "", *([paragraphs, ""] if paragraphs else [])]
    table = ["| setting | values | default | meaning |", "|:---|:---|:---|:---|", *rows] if rows else []
    return "\n".join([*head, *table, *([""] if table else [])])


def _rows(kind: type[BaseModel], name: str, values: Any) -> Iterator[str]:
    """A row for every setting, those of nested groups under dotted names; `values` hold the defaults."""
    for key, field in kind.model_fields.items():
        default = (
            getattr(values, key)
            if isinstance(values, Settings)
            else field.get_default(call_default_factory=True)
        )
        nested = models_in(field.annotation)
        if len(nested) == 1:
            yield from _rows(nested[0], f"{name}.{key}", default)
        elif nested:
            yield _line(f"{name}.{key}", "one of the kinds below", _code(_chosen(default)), field)
        elif key != (tag(kind) or ("",))[0]:
            yield _row(f"{name}.{key}", field, default)


def _chooser(model: type[BaseModel]) -> str:
    """What chooses this kind: kind=chain."""
    return "=".join(tag(model) or ("", ""))


def _chosen(default: Any) -> str:
    return _chooser(type(default)) if isinstance(default, BaseModel) else "required"


def _row(name: str, field: FieldInfo, default: Any) -> str:
    return _line(name, _values(field), "required" if field.is_required() else _code(_shown(default)), field)


def _line(name: str, values: str, default: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split())
    return f"| `{name}` | {values} | {default} | {meaning.replace('|', chr(92) + '|')} |"


def _code(text: str) -> str:
    return f"`{text}`"


def _shown(value: Any) -> str:
    """As it is typed on a command line."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value) if value != "" else "''"


def _values(field: FieldInfo) -> str:
    """The type, its choices and its bounds."""
    bounds = [
        template.format(item)
        for item in field.metadata
        for known, template in _BOUNDS.items()
        if isinstance(item, known)
    ]
    return ", ".join([_type(field.annotation), *bounds])


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(_code(str(choice)) for choice in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type(part) for part in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return "group of settings"
    if annotation is type(None):
        return "`null`"
    names = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}
    return names[annotation]


if __name__ == "__main__":
    write()
