"""Where numbers come from: code, packages, machine, command; an unknown commit is null, with the reason."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from prefix_rft.runs.atomic import read_json, write_json
from prefix_rft.runs.state import now

PROVENANCE_FILE = "provenance.json"
PACKAGES = (
    "prefix-rft",
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "pydantic",
    "math-verify",
    "wandb",
    "verl",
    "vllm",
    "ray",
)
"""Those whose version can change a number or explain a failure."""

SNAPSHOT_FILE = "SNAPSHOT.json"
"""Beside the packages of a copy that was made for a queued job: which code it is a copy of."""
_PACKAGE_FOLDER = Path(__file__).resolve().parents[1]


def write_provenance(run_path: Path, command: Sequence[str] | None = None) -> None:
    """Record this attempt in provenance.json; attempts before it move to `earlier`.

    Args:
        run_path: the run directory.
        command: the command line; by default this process's own.

    Raises:
        RunError: the file there is damaged, or the disk refuses.
    """
    path = run_path / PROVENANCE_FILE
    earlier: list[dict[str, Any]] = []
    if path.exists():
        last = read_json(path)
        earlier = [*last.pop("earlier"), last]
    write_json(path, {**collect(command), "earlier": earlier})


@cache
def loaded_source() -> dict[str, str | None]:
    """The code of this process and of those forked from it, as it lay on disk when this was first asked."""
    return _source(_PACKAGE_FOLDER)


def collect(command: Sequence[str] | None = None, folder: Path | None = None) -> dict[str, Any]:
    """What can be known about this process.

    Args:
        command: the command line; by default this process's own.
        folder: where the code lies; by default where this process has it from.
    """
    return {
        "time": now(),
        "command": shlex.join(command if command is not None else sys.orig_argv),
        "source": loaded_source() if folder is None else _source(folder),
        "lock": _lock(folder or _PACKAGE_FOLDER),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpu": {"model": _cpu_model(), "count": os.cpu_count(), "usable": len(os.sched_getaffinity(0))},
    }


def _source(folder: Path) -> dict[str, str | None]:
    """Commit and, where files differ from it, a digest of the difference."""
    copied = folder.parent / SNAPSHOT_FILE
    if copied.is_file():
        known: dict[str, str | None] = read_json(copied)
        return known
    try:
        root = _git(folder, "rev-parse", "--show-toplevel")
        if _is_ignored(folder):
            return _no_commit(f"{folder} is an installed copy inside the unrelated repository {root}")
        commit = _git(folder, "rev-parse", "--verify", "HEAD")
        return {"commit": commit, "dirty": _dirty_digest(Path(root)), "reason": None}
    except FileNotFoundError:
        return _no_commit("git is not installed")
    except subprocess.CalledProcessError as error:
        return _no_commit(str(error.stderr).strip().splitlines()[0])


def _no_commit(reason: str) -> dict[str, str | None]:
    return {"commit": None, "dirty": None, "reason": reason}


def _dirty_digest(root: Path) -> str | None:
    """SHA-256 over the uncommitted changes and the contents of untracked files; None for a clean checkout."""
    difference = _git(root, "diff", "HEAD", "--binary")
    untracked = [
        name for name in _git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0") if name
    ]
    if not difference and not untracked:
        return None
    digest = hashlib.sha256(difference.encode())
    for name in sorted(untracked):
        digest.update(f"\0{name}\0".encode() + _content(root / name))
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    """Of a link where it leads to, which may be a folder or nowhere."""
    return os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, errors="replace"
    ).stdout.strip()


def _is_ignored(folder: Path) -> bool:
    return subprocess.run(["git", "-C", str(folder), "check-ignore", "-q", "."], check=False).returncode == 0


def _lock(folder: Path) -> dict[str, str | None]:
    path = folder.parent / "requirements" / "lock.txt"
    if not path.is_file():
        return {"sha256": None, "reason": f"there is no {path}"}
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "reason": None}


def _version(package: str) -> str | None:
    """None for a package that is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    """The processor's name as Linux gives it; None where it gives none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
