"""The environment that lighteval lives in: where it is, whether it is the right one, and how it is made.

lighteval 0.13 cannot be installed beside this project (requirements/lighteval.txt says why), so it has a Python of its
own and is talked to by files and subprocesses.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefix_rft.errors import PrefixRftError

VARIABLE = "PREFIX_RFT_LIGHTEVAL"
"""Environment variable that names the folder of the environment where it is not the usual one."""
ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "lighteval.txt"
USUAL = ROOT / ".venv-lighteval"
COST = "about 2.0 GB and 3 to 8 minutes"
_VERSION = "from importlib.metadata import version; print(version('lighteval'))"

Run = Callable[[Sequence[str]], None]


class LightevalError(PrefixRftError):
    """lighteval cannot be asked: its environment is missing or another one, or it ended with an error."""


@dataclass(frozen=True)
class Environment:
    """A Python that has lighteval."""

    python: Path
    version: str
    """lighteval's version."""


def folder(setting: Path | None = None) -> Path:
    """The folder of the environment: the setting, else what PREFIX_RFT_LIGHTEVAL names, else .venv-lighteval."""
    named = os.environ.get(VARIABLE)
    return setting or (Path(named) if named else USUAL)


def find(setting: Path | None = None) -> Environment:
    """The environment, ready to be used.

    Args:
        setting: its folder; None takes the variable's or the usual one.

    Raises:
        LightevalError: there is none, or it has no lighteval or another version of it than the lock.
    """
    place = folder(setting)
    python = python_of(place)
    if not python.exists():
        raise LightevalError(f"there is no lighteval environment in {place}. {_next_step(place)}")
    found = subprocess.run([str(python), "-c", _VERSION], capture_output=True, text=True)
    if found.returncode:
        raise LightevalError(f"{place} has no lighteval: it was not made to its end. {_next_step(place)}")
    version, wanted = found.stdout.strip(), locked_version()
    if version != wanted:
        raise LightevalError(
            f"{place} has lighteval {version}; this project speaks to {wanted}. {_next_step(place)}"
        )
    return Environment(python, version)


def find_or_make(setting: Path | None, agreed: Callable[[str], bool], run: Run | None = None) -> Environment:
    """The environment; where there is none yet it is made, if that is agreed to.

    Args:
        setting: its folder; None takes the variable's or the usual one.
        agreed: asked once, with what it takes; False: nothing is installed.
        run: runs a command; for tests.

    Raises:
        LightevalError: there is none and making it was not agreed to, or failed.
    """
    try:
        return find(setting)
    except LightevalError as missing:
        place = folder(setting)
        if not agreed(f"{missing}\nInstall lighteval {locked_version()} into {place} now ({COST})?"):
            raise
    make(place, run)
    return find(setting)


def make(place: Path, run: Run | None = None) -> None:
    """Make the environment, or bring it to the state of the lock.

    Raises:
        LightevalError: a step failed; starting again goes on from there.
    """
    run = run or _run
    if not LOCK.exists():
        raise LightevalError(
            f"there is no {LOCK}: lighteval's environment is made from a checkout of the project"
        )
    python = str(python_of(place))
    if not python_of(place).exists():
        run([sys.executable, "-m", "venv", str(place)])
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(LOCK)])
    run([python, "-m", "pip", "check"])


def locked_version() -> str:
    """lighteval's version in the lock.

    Raises:
        LightevalError: there is no lock, or no lighteval in it.
    """
    found = re.search(r"^lighteval==(\S+)$", LOCK.read_text(), re.MULTILINE) if LOCK.exists() else None
    if found is None:
        raise LightevalError(f"{LOCK} does not name a version of lighteval; use a checkout of the project")
    return found[1]


def python_of(place: Path) -> Path:
    """The interpreter of a virtual environment."""
    return place / "bin" / "python"


def _next_step(place: Path) -> str:
    return (
        f"Make it with `make lighteval LIGHTEVAL={place}` or `prefix-rft lighteval --yes ...` ({COST}), or name "
        f"another folder in {VARIABLE}."
    )


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command)
    if done.returncode:
        raise LightevalError(f"`{' '.join(command)}` ended with {done.returncode}; its own words are above")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else folder())
