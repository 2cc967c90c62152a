"""A digest of code as it lies on disk: what was made by other code is made again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


def code_digest(parts: Sequence[tuple[ModuleType, Sequence[str]]], *versions: str) -> str:
    """64 hex digits over the files of some packages.

    Args:
        parts: packages, each with patterns of files below its folder.
        versions: of libraries, and whatever else decides.
    """
    digest = hashlib.sha256(" ".join(versions).encode())
    for package, patterns in parts:
        folder = Path(next(iter(package.__path__)))
        for file in sorted({file for pattern in patterns for file in folder.glob(pattern)}):
            digest.update(f"{file.relative_to(folder)}\n".encode() + file.read_bytes())
    return digest.hexdigest()
