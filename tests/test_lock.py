"""The lock: every package once, in order, and everything that the extras bring is in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "lock.txt"
PINNED = re.compile(r"(?P<name>[a-z0-9]+(?:[-.][a-z0-9]+)*)==(?P<version>[0-9][0-9A-Za-z.]*)")


def pins() -> dict[str, str]:
    lines = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found = [PINNED.fullmatch(line) for line in lines]
    assert [line for line, match in zip(lines, found, strict=True) if not match] == []
    return {match["name"]: match["version"] for match in found if match}


def asked(extra: str) -> list[Requirement]:
    """What pyproject.toml asks for with an extra, the extras that it names included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: list[Requirement] = []
    for requirement in map(Requirement, project["optional-dependencies"][extra]):
        if requirement.name == project["name"]:
            found += [inner for name in requirement.extras for inner in asked(name)]
        else:
            found.append(requirement)
    return [*map(Requirement, project["dependencies"]), *found]


def brought(requirements: list[Requirement]) -> Iterator[tuple[str, str]]:
    """Names and installed versions of what these requirements bring, whatever is not installed left out."""
    waiting = [(requirement, "") for requirement in requirements]
    done: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            if (name, wanted) in done or not _installed(name):
                continue
            done.add((name, wanted))
            waiting += [(Requirement(text), wanted) for text in metadata.requires(name) or []]
    yield from ((name, metadata.version(name)) for name in sorted({name for name, _ in done}))


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def test_every_package_is_pinned_once_and_in_order() -> None:
    lines = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    names = [line.partition("==")[0] for line in lines]
    assert lines == sorted(lines)
    assert len(names) == len(set(names))
    assert [name for name in names if name != canonicalize_name(name)] == []
    assert len(pins()) == len(names)


@pytest.mark.parametrize("extra", ["dev", "verl", "bench"])
def test_what_an_extra_brings_is_in_the_lock_as_it_is_installed(extra: str) -> None:
    missing = [item.name for item in asked(extra) if not _installed(item.name)]
    if extra != "dev" and missing:
        pytest.skip(f"{', '.join(missing)} not installed here: make {extra} installs the extra")
    assert missing == []
    locked = pins()
    found = dict(brought(asked(extra)))
    assert len(found) > 50
    assert sorted(found.keys() - locked.keys()) == []
    differing = {
        name: (Version(version).public, locked[name])
        for name, version in found.items()
        if Version(version).public != Version(locked[name]).public
    }
    assert differing == {}


def test_the_lock_holds_what_the_project_asks_for() -> None:
    locked = pins()
    every = [item for extra in ("dev", "verl", "bench") for item in asked(extra)]
    assert [
        str(item) for item in every if not item.specifier.contains(locked[canonicalize_name(item.name)])
    ] == []
