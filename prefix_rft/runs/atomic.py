"""Writes that a crash, a kill or a full disk can interrupt without losing what was there before."""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

from prefix_rft.errors import RunError

_NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR)
DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, *_NOT_ALLOWED)
"""Error numbers of a disk that is full, broken, or not for this user to write."""
TEMPORARY = ".tmp-"
"""How the name of everything half-written begins; readers skip such names."""


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace the file at `path` as a whole: a reader sees the old content or the new one, never a part.

    Args:
        path: the file; its folder must exist.
        content: the new content.
        durable: also survive a loss of power (fsync of file and folder). Without it nobody waits for the
            disk, and the write survives the death of the process but perhaps not of the machine.

    Raises:
        RunError: the disk is full or refuses; the old file is still there.
    """
    temporary = temporary_beside(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise refused(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, content: str, *, durable: bool = True) -> None:
    """Replace a UTF-8 text file as a whole; see `write_bytes`."""
    write_bytes(path, content.encode(), durable=durable)


def write_json(path: Path, content: Any, *, durable: bool = True) -> None:
    """Replace a JSON file as a whole; see `write_bytes`. NaN and infinities are refused with ValueError."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n", durable=durable)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        RunError: the file cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(
            f"cannot read {path}: {error}. Restore the file, or delete the run to start afresh."
        ) from error


def move_into_place(temporary: Path, target: Path) -> None:
    """Make a finished folder appear under its final name, after syncing everything in it.

    Raises:
        FileExistsError: `target` exists and is not empty.
        OSError: the disk refuses.
    """
    for folder, _, names in os.walk(temporary):
        for name in names:
            sync_file(Path(folder, name))
        sync_folder(Path(folder))
    try:
        temporary.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(f"{target} exists") from error
        raise
    sync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that a reader never finds it half-empty under its own name."""
    doomed = temporary_beside(folder)
    folder.rename(doomed)
    shutil.rmtree(doomed)


def clear_leftovers(folder: Path, *, but: Collection[str]) -> None:
    """Remove what killed writers left half-written below a folder, except of files with these names.

    For a folder into which nobody else writes now, apart from those files.
    """
    for path in list(folder.rglob(f"{TEMPORARY}*")):
        if any(path.name.startswith(f"{TEMPORARY}{name}-") for name in but):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def temporary_beside(path: Path) -> Path:
    """A fresh name in the same folder (so that a rename is atomic) that readers skip."""
    return path.with_name(f"{TEMPORARY}{path.name}-{uuid.uuid4().hex[:8]}")


def sync_file(path: Path) -> None:
    """Have the file's content on the disk itself."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Have the folder's entries (creations, renames) on the disk itself."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refused(path: Path, error: Exception, kind: type[RunError] = RunError) -> RunError:
    """The error for a write that the disk refused: which file, why, how much is free, what to do."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return kind(
        f"cannot write {path}: {reason} ({_free(path)}). What was written before is still there. "
        f"{_remedy(error)} (or set store=<a folder elsewhere>), then give the same command again: it goes on."
    )


def _remedy(error: Exception) -> str:
    """What helps against a disk that refused."""
    number = error.errno if isinstance(error, OSError) else None
    if number in _NOT_ALLOWED:
        return "Make that folder writable for you"
    if number in _NO_FOLDER:
        return "See to it that the folder is there"
    return "Free some space"


def _free(path: Path) -> str:
    """Space, and where there is no room for another file whatever its size, that."""
    folder = next(parent for parent in (path, *path.absolute().parents) if parent.is_dir())
    usage, system = shutil.disk_usage(folder), os.statvfs(folder)
    room = f"{usage.free / 2**20:.1f} of {usage.total / 2**20:.0f} MiB free there"
    # A file system that makes inodes as it needs them (btrfs) counts none at all.
    full = system.f_files > 0 and system.f_favail == 0
    return f"{room}, but it holds all the {system.f_files} files it can" if full else room
