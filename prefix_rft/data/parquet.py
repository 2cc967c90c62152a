"""Rows of a parquet file in the layout of verl and LUFFY; pyarrow is imported when one is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prefix_rft.data.convert import LUFFY_COLUMNS
from prefix_rft.data.rows import PACKED, NumberedRow, Row, RowError, existing_file
from prefix_rft.errors import DataError, nearest

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.parquet import ParquetFile

_BATCH = 1024


def rows(path: str) -> Iterator[NumberedRow]:
    """Every row with its number, only the columns that are used.

    Raises:
        DataError: the file is not there, is not parquet, is damaged, or lacks a column.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    file = existing_file(path)
    try:
        with ParquetFile(file) as parquet:
            columns = _columns(path, parquet)
            yield from _numbered(parquet, columns)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is damaged or is not a parquet file ({_first_line(error)}). {_what_it_is(file)}"
        ) from None


def _numbered(parquet: ParquetFile, columns: Sequence[str]) -> Iterator[NumberedRow]:
    number = 0
    for batch in parquet.iter_batches(batch_size=_BATCH, columns=list(columns)):
        for row in _plain(batch):
            number += 1
            yield number, row


def _plain(batch: RecordBatch) -> list[Row | RowError]:
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        return [_plain_row(batch.slice(index, 1)) for index in range(batch.num_rows)]


def _plain_row(row: RecordBatch) -> Row | RowError:
    try:
        return dict(row.to_pylist()[0])
    except UnicodeDecodeError as error:
        return RowError("", f"a text in it is not UTF-8 (byte {error.start + 1})")


def _columns(path: str, parquet: ParquetFile) -> list[str]:
    present = parquet.schema_arrow.names
    for column in ("prompt", "reward_model"):
        if column not in present:
            guess = nearest(column, present)
            hint = f" Did you mean {guess!r}?" if guess else ""
            raise DataError(
                f"{path} has no column {column!r}; data.kind=parquet reads the layout of verl and LUFFY "
                f"(prompt, target, reward_model, extra_info).{hint} It has {', '.join(present)}. For other "
                "columns write JSONL and name them with data.kind=jsonl data.columns.*"
            )
    return [name for name in LUFFY_COLUMNS if name in present]


def _what_it_is(file: Path) -> str:
    """What to do, by how the file begins."""
    with file.open("rb") as stream:
        beginning = stream.read(64).lstrip()
    if beginning.startswith(PACKED):
        return f"It is compressed; unpack it first: `gunzip < {file.name} > <name>.parquet`."
    return (
        "It looks like JSON; read JSONL with data=jsonl."
        if beginning[:1] in (b"{", b"[")
        else "Copy it again."
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
