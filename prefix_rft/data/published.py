"""A published data set in LUFFY's layout: on the hub, or a file of it; rows come one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prefix_rft.data import hub, jsonl, parquet
from prefix_rft.data.rows import NumberedRow, existing_file
from prefix_rft.errors import DataError
from prefix_rft.settings.data import HubData


@dataclass(frozen=True)
class Published:
    """Where the rows come from."""

    name: str
    digest: str
    """SHA-256 of the file; repository, revision and split on the hub."""
    total: int | None
    """Rows, where that is known before they are read."""
    rows: Callable[[], Iterator[NumberedRow]]


def published(settings: HubData, file: Path | None) -> Published:
    """The data set on the hub, or a file in the same layout.

    Raises:
        DataError: the file is not there, or neither parquet nor JSONL.
    """
    if file is None:
        name = f"{settings.repository}@{settings.revision}:{settings.split}"
        return Published(name, f"hub:{name}", None, lambda: _hub_rows(settings))
    path = str(existing_file(str(file)))
    if file.suffix == ".parquet":
        return Published(path, digest_of(Path(path)), _parquet_rows(path), lambda: parquet.rows(path))
    if file.suffix == ".jsonl":
        return Published(path, digest_of(Path(path)), _lines(path), lambda: jsonl.rows(path))
    raise DataError(
        f"{file} ends in {file.suffix or 'nothing'}; a file in LUFFY's layout is .parquet or .jsonl"
    )


def digest_of(file: Path) -> str:
    """SHA-256 of the file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hub_rows(settings: HubData) -> Iterator[NumberedRow]:
    try:
        yield from hub.rows(settings.repository, settings.revision, settings.split)
    except DataError as error:
        raise DataError(f"{error}; here that is `prefix-rft prepare-data openr1 --file <file>`") from error


def _parquet_rows(path: str) -> int | None:
    """None for a damaged file: reading it says what is wrong."""
    import pyarrow as pa
    from pyarrow.parquet import read_metadata

    try:
        return int(read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return None


def _lines(path: str) -> int:
    with Path(path).open("rb") as file:
        return sum(bool(line.strip()) for line in file)
