"""What a file or a model folder is, by its content: moving or renaming it makes no new run."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from prefix_rft.errors import DataError

_WEIGHTS = ("*.safetensors", "*.bin", "*.json", "*.model", "*.txt", "*.jinja")
_EDGE_BYTES = 1 << 20


def file_digest(path: str) -> str:
    """SHA-256 of the file's bytes, read once a process for each size and time of change.

    Raises:
        DataError: the file cannot be read.
    """
    return _file_digest(*_state(Path(path)))


def folder_digest(path_or_name: str) -> str:
    """What names a pretrained model: `hub:<name>` on the hub, else a digest of its folder.

    Small files (configuration, tokenizer) count whole; of a file beyond 2 MiB (weights) its size and its
    first and last MiB count, so that planning a sweep over a 15 GB model takes no minutes.

    Raises:
        DataError: a local folder has no config.json, or a file in it cannot be read.
    """
    folder = Path(path_or_name)
    if not folder.is_dir():
        return _hub_name(path_or_name)
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder} has no config.json: it is not a model in the Hugging Face layout.")
    files = sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern) if path.is_file()})
    lines = [f"{path.name}\0{_edges_digest(*_state(path))}" for path in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _hub_name(name: str) -> str:
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise DataError(
            f"there is no model folder {name}. Give an existing folder, or owner/name on the hub."
        )
    return f"hub:{name}"


def _state(path: Path) -> tuple[Path, int, int]:
    try:
        state = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return path.absolute(), state.st_size, state.st_mtime_ns


@lru_cache(maxsize=1024)
def _file_digest(path: Path, size: int, changed: int) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


@lru_cache(maxsize=1024)
def _edges_digest(path: Path, size: int, changed: int) -> str:
    if size <= 2 * _EDGE_BYTES:
        return _file_digest(path, size, changed)
    try:
        with path.open("rb") as file:
            head = file.read(_EDGE_BYTES)
            file.seek(size - _EDGE_BYTES)
            return hashlib.sha256(f"{size}\0".encode() + head + file.read(_EDGE_BYTES)).hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot read {path}: {error.strerror}. Its content is part of the run's name; check the path."
    )
