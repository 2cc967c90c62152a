"""What all sources of rows share: bad rows are refused at once or listed; a missing file is guessed at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefix_rft.data.schema import BadRow
from prefix_rft.errors import DataError, nearest

Row = Mapping[str, Any]
PACKED = b"\x1f\x8b"
"""How a file begins that gzip compressed."""


class RowError(Exception):
    """One row cannot be used; becomes a `BadRow` where file and row number are known."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


NumberedRow = tuple[int, Row | RowError]
"""A row's number from 1, and the row or why it could not be read."""


@dataclass(frozen=True)
class Source:
    """Rows of one file or hub split."""

    name: str
    """As it is named in errors."""
    rows: Iterator[NumberedRow]


@dataclass
class BadRows:
    """Refuses the first bad row, or lists them all where that is allowed."""

    skip: bool
    rows: list[BadRow] = field(default_factory=list)

    def add(self, file: str, number: int, error: RowError) -> None:
        """List the row.

        Raises:
            DataError: bad rows are not to be skipped.
        """
        row = BadRow(file=file, row=number, field=error.field, reason=error.reason)
        if not self.skip:
            raise DataError(
                f"{row}. Mend the row, or set data.skip_bad_rows=true to leave such rows out (counted and "
                "listed)."
            )
        self.rows.append(row)


def existing_file(path: str) -> Path:
    """The file at `path`.

    Raises:
        DataError: there is none, with the nearest name in the folder; or it is a folder.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        names = sorted(item.name for item in file.iterdir() if item.is_file())
        raise DataError(f"{path} is a folder, not a file. Name one file in it: {_some(names)}.")
    if file.is_file():
        return file
    if not file.parent.is_dir():
        raise DataError(f"there is no file {path}: the folder {file.parent} does not exist. Check the path.")
    names = [item.name for item in file.parent.iterdir() if item.is_file()]
    guess = nearest(file.name, names)
    hint = f"did you mean {guess!r}?" if guess else f"the folder holds {_some(sorted(names))}."
    raise DataError(f"there is no file {path}: {hint}")


def missing_column(column: str, present: list[str], setting: str) -> RowError:
    """The error of a row without a column, with the nearest of those it has."""
    guess = nearest(column, present)
    hint = f"; did you mean {guess!r}?" if guess else "."
    return RowError(
        column, f"there is no such column{hint} It has {_some(present)}. The column is named by {setting}"
    )


def _some(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more
