"""The code as it lies on disk now, copied under a name that is its content: jobs import from there.

Committed, changed and untracked files alike, ignored ones not: what is edited while a job waits changes nothing, and
the same code submitted twice is one folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from slurm.errors import SubmissionError

SOURCE_FILE = "SNAPSHOT.json"
"""What the copy is of, as given; inside the copy."""
CODE = Path(__file__).parents[1]
"""Folder that the code is imported from here."""
MOST_BYTES = 200_000_000
"""An environment or a data set that lies among the code is not copied unasked."""
_PACKAGES = ("prefix_rft", "slurm", "eval", "analysis", "experiments", "hydra_plugins", "sweeps")
"""What is copied where the code is installed rather than a checkout."""


def snapshot(
    folder: Path, source: Mapping[str, str | None], *, code: Path = CODE, but: Iterable[Path] = ()
) -> Path:
    """The folder below `folder` with the code as it is now.

    Args:
        folder: where snapshots are kept.
        source: what is written into it about where it comes from.
        code: what is copied.
        but: folders that are left out, runs for instance.

    Raises:
        SubmissionError: a file cannot be read, the disk refuses, or there is far more than code.
    """
    names = [name for name in files(code) if not _within(code / name, but)]
    temporary = folder / f".tmp-{uuid.uuid4().hex[:8]}"
    try:
        _refuse_too_much(code, names)
        target = folder / digest(code, names)
        return target if target.is_dir() else _copy(folder, temporary, code, names, source)
    except OSError as error:
        raise SubmissionError(f"cannot copy the code to {folder}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy(
    folder: Path, temporary: Path, code: Path, names: Iterable[str], source: Mapping[str, str | None]
) -> Path:
    """The name is the content of what was copied: a file may have been edited since it was listed."""
    for name in names:
        (temporary / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(code / name, temporary / name, follow_symlinks=False)
    target = folder / digest(temporary, names)
    (temporary / SOURCE_FILE).write_text(json.dumps(dict(source), indent=1))
    try:
        temporary.rename(target)
    except OSError:
        if not target.is_dir():  # by somebody else, meanwhile
            raise
    return target


def _refuse_too_much(code: Path, names: Iterable[str]) -> None:
    sizes: Counter[str] = Counter()
    for name in names:
        sizes[name.partition("/")[0]] += (code / name).lstat().st_size
    total = sizes.total()
    if total > MOST_BYTES:
        largest, size = sizes.most_common(1)[0]
        raise SubmissionError(
            f"the code in {code} is {total / 1e6:.0f} MB, of which {largest} {size / 1e6:.0f} MB: it is copied for the "
            f"jobs, {MOST_BYTES / 1e6:.0f} MB at most. Name in .gitignore what is no code, or move it elsewhere."
        )


def files(code: Path) -> list[str]:
    """What belongs to the code, relative to it: what git has or would add, else the packages' files."""
    command = ["git", "-C", str(code), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return _installed(code)
    names = {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}
    if not any(name.startswith("slurm/") for name in names):  # site-packages inside somebody's repository
        return _installed(code)
    return sorted(name for name in names if (code / name).is_symlink() or (code / name).is_file())


def digest(code: Path, names: Iterable[str]) -> str:
    """16 hex digits over names, contents and whether they can be executed."""
    total = hashlib.sha256()
    for name in names:
        path = code / name
        content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
        runs = bool(path.lstat().st_mode & stat.S_IXUSR)
        total.update(f"{name}\0{runs}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    return total.hexdigest()[:16]


def _installed(code: Path) -> list[str]:
    return sorted(
        str(path.relative_to(code))
        for package in _PACKAGES
        for path in (code / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


def _within(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.absolute().is_relative_to(folder.absolute()) for folder in folders)
