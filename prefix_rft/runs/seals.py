"""seals.json: what the files that grow beside the checkpoints held when each checkpoint was saved.

A changed digit in a row of metrics is still a row of metrics: only a digest tells. And what a resumed run drops, the
rows after its checkpoint, can be cut off by their place, whatever became of them: of a file that is only for reading
the place is all that is kept. Without the file, or with a damaged one, nothing is compared; the next checkpoint writes
it anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from prefix_rft.errors import RunError
from prefix_rft.runs.atomic import read_json, refused, sync_file, write_bytes, write_json

SEALS_FILE = "seals.json"
COMPARED = ("metrics.jsonl",)
"""Files from which numbers are computed: they must still hold what they held."""
GROWING = (*COMPARED, "samples.jsonl")
"""The files: they are only ever added to, or cut back to a checkpoint."""

Seals = Mapping[str, Mapping[str, Any]]
"""File name -> size in bytes and, of a file that is compared, SHA-256 of so many first bytes."""


def seal(run_path: Path, step: int, kept: Collection[int]) -> None:
    """Write down what the files hold as the checkpoint of `step` is saved, all of it on the disk first.

    Args:
        run_path: the run directory.
        step: of the checkpoint, which appears afterwards.
        kept: the steps whose checkpoints are there; what was sealed with others is dropped.

    Raises:
        OSError: the disk refuses.
        RunError: the disk refuses seals.json; the old one is still there.
    """
    before = {key: seals for key, seals in _read(run_path).items() if int(key) in kept}
    steps = {**before, str(step): {name: _seal_of(run_path / name) for name in _there(run_path)}}
    content = {"run": run_path.name, "steps": steps}
    write_json(run_path / SEALS_FILE, {**content, "sha256": _digest(content)})


def seals_of(run_path: Path, step: int) -> Seals:
    """What the files held at the checkpoint of `step`, as far as it is known."""
    found: Seals = _read(run_path).get(str(step), {})
    return found


def check(run_path: Path, name: str, seals: Seals) -> None:
    """Make sure that a file still begins with what was sealed, if it is one that is compared.

    Raises:
        RunError: it does not; names the file and how to go on.
    """
    if name not in seals or name not in COMPARED:
        return
    path, size = run_path / name, seals[name]["size"]
    content = path.read_bytes() if path.exists() else b""
    if hashlib.sha256(content[:size]).hexdigest() == seals[name]["sha256"]:
        return
    how = "its content has changed" if len(content) >= size else f"{len(content)} of {size} bytes are left"
    raise RunError(
        f"{path} is not what was saved with the checkpoint: {how}. Restore it from a copy; or delete it and the "
        f"folder {run_path / 'checkpoints'}, and ask for the run again: it starts afresh, to the same numbers."
    )


def cut_back(run_path: Path, name: str, seals: Seals | None) -> int | None:
    """Drop what was written after a checkpoint, unread; everything where there is none (`seals` is None).

    Args:
        run_path: the run directory.
        name: of the file.
        seals: what it held at the checkpoint.

    Returns:
        How many lines were dropped; None where nothing was sealed of the file.

    Raises:
        RunError: what stays is not what was saved, or the disk refuses.
    """
    path = run_path / name
    if seals is not None and name not in seals:
        return None
    check(run_path, name, seals or {})
    size = 0 if seals is None else seals[name]["size"]
    try:
        content = path.read_bytes() if path.exists() else b""
        # As a new file: who follows the old one sees that it was replaced.
        if len(content) > size:
            write_bytes(path, content[:size])
    except OSError as error:
        raise refused(path, error) from error
    return content[size:].count(b"\n")


def _there(run_path: Path) -> list[str]:
    return [name for name in GROWING if (run_path / name).exists()]


def _seal_of(path: Path) -> dict[str, Any]:
    sync_file(path)
    if path.name not in COMPARED:
        return {"size": path.stat().st_size}
    content = path.read_bytes()
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _read(run_path: Path) -> dict[str, Any]:
    try:
        found = read_json(run_path / SEALS_FILE)
    except RunError:
        return {}
    if not isinstance(found, dict) or found.pop("sha256", None) != _digest(found):
        return {}
    return dict(found["steps"]) if found["run"] == run_path.name else {}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
