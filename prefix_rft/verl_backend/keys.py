"""Which keys `backend.verl` may set: those that verl knows and that no setting of this suite decides.

A key is known if verl's composed configuration has it, or if the dataclass that the configuration names there
(`_target_`) has such a field. The classes are read from verl's source, not imported: that would import torch and Ray.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from prefix_rft.errors import SettingsError, nearest
from prefix_rft.verl_backend.translation import SUITE, Row

FREE: tuple[str, ...] = (
    "override_config",
    "engine_kwargs",
    "override_optimizer_config",
    "mixed_precision",
    "apply_chat_template_kwargs",
    "mm_processor_kwargs",
    "sampler_kwargs",
    "ray_init",
    "fused_kernel_options",
)
"""Groups of verl's that pass what they hold on to somebody else, and so have no list of keys."""


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested groups."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def refuse_unless_theirs(key: str, rows: Sequence[Row], composed: DictConfig, package: Path) -> None:
    """Let a key pass that `backend.verl` may set.

    Args:
        key: dotted, below `backend.verl`.
        rows: what this suite sets.
        composed: verl's configuration before anything was set.
        package: folder of verl's source.

    Raises:
        SettingsError: names the setting that decides the key, or the nearest key that there is.
    """
    for row in rows:
        inside = row.key.startswith(f"{key}.")
        if row.decided_by and (row.key == key or inside or key.startswith(f"{row.key}.")):
            raise SettingsError(_decided(key, row))
    known = keys_of(composed)
    if key in known or _is_free(key) or _is_field(key, composed, package):
        if OmegaConf.is_config(OmegaConf.select(composed, key)) and not _is_free(f"{key}.x"):
            raise SettingsError(f"backend.verl.{key} is a group of settings; set one of them")
        return
    guess = nearest(key, known) or nearest(key.rpartition(".")[2], known, cutoff=0.0)
    raise SettingsError(f"backend.verl.{key}: verl has no such setting; did you mean {guess!r}?")


def keys_of(composed: DictConfig) -> list[str]:
    """Every dotted key, groups included."""
    plain = OmegaConf.to_container(composed, resolve=False)
    assert isinstance(plain, dict)
    return sorted(_keys({str(name): value for name, value in plain.items()}))


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{name}.")


def _decided(key: str, row: Row) -> str:
    if row.decided_by == SUITE:
        return f"backend.verl.{key} is decided by this suite, which rests on it ({row.key}={row.value!r}); leave it out"
    return f"backend.verl.{key} is decided by {row.decided_by}; set that"


def _is_free(key: str) -> bool:
    """Whether the key lies inside a group without a list of keys."""
    return any(part in FREE for part in key.split(".")[:-1])


def _is_field(key: str, composed: DictConfig, package: Path) -> bool:
    group, _, name = key.rpartition(".")
    target = OmegaConf.select(composed, f"{group}._target_") if group else None
    return isinstance(target, str) and name in fields_of(target.rpartition(".")[2], package)


@cache
def fields_of(kind: str, package: Path) -> frozenset[str]:
    """Fields of one of verl's configuration classes, those of its bases included."""
    return frozenset(_fields(kind, _classes(package)))


def _fields(kind: str, classes: Mapping[str, ast.ClassDef]) -> Iterator[str]:
    found = classes.get(kind)
    if found is None:
        return
    for statement in found.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id
    for base in found.bases:
        yield from _fields(ast.unparse(base).rpartition(".")[2], classes)


@cache
def _classes(package: Path) -> dict[str, ast.ClassDef]:
    """Classes of the modules that hold verl's configuration, by name."""
    folders = (package / "workers" / "config", package / "trainer" / "config", package / "utils" / "profiler")
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    return {
        node.name: node
        for file in files
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
