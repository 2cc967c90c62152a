"""Checkpoints that are whole or not there: written aside, hashed, synced, then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefix_rft.errors import CheckpointError, LockLostError, RunError
from prefix_rft.runs.atomic import (
    TEMPORARY,
    move_into_place,
    read_json,
    refused,
    remove_folder,
    temporary_beside,
    write_json,
)
from prefix_rft.runs.lock import refuse_if_lost
from prefix_rft.runs.seals import SEALS_FILE, seal

FORMAT = 1
MANIFEST_FILE = "manifest.json"
_FULL_BELOW_BYTES = 1 << 16


@dataclass(frozen=True)
class Checkpoint:
    """One saved state of a run."""

    run_id: str
    """The run whose directory it lies in."""
    step: int
    path: Path


def save_checkpoint(run_path: Path, step: int, write: Callable[[Path], None], keep: int) -> Checkpoint:
    """Save a checkpoint, then prune the oldest ones; the caller holds the run's lock.

    Rows of metrics.jsonl written before are on the disk, and sealed, before the checkpoint appears: a run that goes on
    from it cuts the file back to its size of now, so rows of later steps must not have been written yet. A step that
    is already saved intact is not written again.

    Args:
        run_path: the run directory, named by the run's id.
        step: rollout steps done.
        write: fills an empty folder with the checkpoint's files.
        keep: how many checkpoints stay, the newest ones; at least 1.

    Raises:
        CheckpointError: the disk is full or refuses; the older checkpoints are all still there.
        LockLostError: another process has taken the run over, or may have.
        ValueError: `keep` is below 1.
    """
    if keep < 1:
        raise ValueError(f"keep={keep} would remove the checkpoint just saved")
    folder = run_path / "checkpoints"
    target = Checkpoint(run_path.name, step, folder / f"step_{step}")
    with _disk_trouble(target.path):
        refuse_if_lost(run_path)
        folder.mkdir(exist_ok=True)
        _remove_leftovers(folder)
        if not _is_intact(target):
            _write_new(target, write)
        _prune(run_path, keep)
    return target


def forget_checkpoints(run_path: Path) -> None:
    """Remove all checkpoints and what was sealed with them: the stage that wrote them starts over."""
    refuse_if_lost(run_path)
    (run_path / SEALS_FILE).unlink(missing_ok=True)
    folder = run_path / "checkpoints"
    if folder.exists():
        remove_folder(folder)


def list_checkpoints(run_path: Path) -> list[Checkpoint]:
    """The run's checkpoints by step, the newest last."""
    found = [
        Checkpoint(run_path.name, int(path.name.removeprefix("step_")), path)
        for path in (run_path / "checkpoints").glob("step_*")
        if path.name.removeprefix("step_").isdecimal()
    ]
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def latest_checkpoint(run_path: Path) -> Checkpoint | None:
    """The run's newest checkpoint, not verified; None for a run without any."""
    return next(reversed(list_checkpoints(run_path)), None)


def verify(checkpoint: Checkpoint, *, hashes: bool = True) -> None:
    """Check a checkpoint against its manifest.

    Args:
        checkpoint: from `latest_checkpoint` or `list_checkpoints`.
        hashes: read every file and compare its hash; without it only names and sizes are compared.

    Raises:
        CheckpointError: it is damaged (names the file and how) or belongs to another run (names both).
    """
    manifest = _read_manifest(checkpoint)
    if manifest["run"] != checkpoint.run_id:
        raise CheckpointError(
            f"{checkpoint.path} belongs to run {manifest['run']}, not to run {checkpoint.run_id} whose "
            "folder it is in. Move it back, or delete it; training then goes on from the checkpoint before "
            "it, or from the start."
        )
    if manifest["step"] != checkpoint.step:
        raise _damaged(checkpoint, MANIFEST_FILE, f"of step {manifest['step']}")
    for name, recorded in manifest["files"].items():
        _verify_file(checkpoint, name, recorded, hashes=hashes)


def _read_manifest(checkpoint: Checkpoint) -> dict[str, Any]:
    path = checkpoint.path / MANIFEST_FILE
    if not path.exists():
        raise _damaged(checkpoint, MANIFEST_FILE, "missing")
    try:
        manifest = read_json(path)
    except RunError as error:
        raise _damaged(checkpoint, MANIFEST_FILE, f"unreadable ({error})") from error
    if not isinstance(manifest, dict) or manifest.pop("sha256", None) != _manifest_digest(manifest):
        raise _damaged(checkpoint, MANIFEST_FILE, "not what was saved (its own sha256 differs)")
    if manifest["format"] != FORMAT:
        raise _damaged(
            checkpoint, MANIFEST_FILE, f"of format {manifest['format']}, and this version reads {FORMAT}"
        )
    return manifest


def _manifest_digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _verify_file(checkpoint: Checkpoint, name: str, recorded: dict[str, Any], *, hashes: bool) -> None:
    path = checkpoint.path / name
    if not path.is_file():
        raise _damaged(checkpoint, name, "missing")
    size = path.stat().st_size
    if size != recorded["size"]:
        raise _damaged(checkpoint, name, f"{size} bytes long, {recorded['size']} were saved")
    if hashes and _sha256(path) != recorded["sha256"]:
        raise _damaged(checkpoint, name, "of the right length, but its content has changed (sha256 differs)")


def _damaged(checkpoint: Checkpoint, name: str, how: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {checkpoint.path} is damaged: {name} is {how}. Delete that folder; the run then goes on "
        "from the checkpoint before it, or from the start."
    )


def _is_intact(checkpoint: Checkpoint) -> bool:
    if not checkpoint.path.exists():
        return False
    try:
        verify(checkpoint)
    except CheckpointError:
        remove_folder(checkpoint.path)
        return False
    return True


def _write_new(target: Checkpoint, write: Callable[[Path], None]) -> None:
    temporary = temporary_beside(target.path)
    temporary.mkdir()
    try:
        _fill(temporary, write)
        files = {
            str(path.relative_to(temporary)): path for path in sorted(temporary.rglob("*")) if path.is_file()
        }
        recorded = {
            name: {"size": path.stat().st_size, "sha256": _sha256(path)} for name, path in files.items()
        }
        run_path = target.path.parents[1]
        manifest = {"format": FORMAT, "run": target.run_id, "step": target.step, "files": recorded}
        write_json(temporary / MANIFEST_FILE, {**manifest, "sha256": _manifest_digest(manifest)})
        refuse_if_lost(run_path)
        seal(run_path, target.step, [known.step for known in list_checkpoints(run_path)])
        _appear(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _appear(temporary: Path, target: Checkpoint) -> None:
    """Under its name; a server may have said that nothing has it, and find an older checkpoint of that step now."""
    try:
        move_into_place(temporary, target.path)
    except FileExistsError:
        if not _is_intact(target):
            move_into_place(temporary, target.path)


def _fill(temporary: Path, write: Callable[[Path], None]) -> None:
    """Call `write`; on a full disk each library raises an error of its own, and some do not say why."""
    try:
        write(temporary)
    except Exception as error:
        if "no space left" in str(error).lower() or shutil.disk_usage(temporary).free < _FULL_BELOW_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


@contextmanager
def _disk_trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        refuse_if_lost(path.parents[1])  # who took the run over clears away what is half-written
        raise refused(path, error, CheckpointError) from error
    except LockLostError:
        raise
    except RunError as error:
        raise CheckpointError(str(error)) from error


def _remove_leftovers(folder: Path) -> None:
    """Clear what a killed writer left; only the lock's holder writes here, so nobody else is at work."""
    for path in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path)


def _prune(run_path: Path, keep: int) -> None:
    for old in list_checkpoints(run_path)[:-keep]:
        remove_folder(old.path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
