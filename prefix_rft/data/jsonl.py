"""Rows of a JSONL file: one JSON object a line, UTF-8, blank lines passed over."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import BinaryIO

from prefix_rft.data.rows import PACKED, NumberedRow, Row, RowError, existing_file
from prefix_rft.errors import DataError

LONGEST_ROW = 64 << 20
"""Bytes; a longer line is a damaged one, and is not held in memory."""


def rows(path: str) -> Iterator[NumberedRow]:
    """Every line that is not blank, with its number.

    A byte-order mark and carriage returns are accepted. Lines end at line feeds only, so that the Unicode
    line separators that JSON allows inside strings do not cut a row.

    Raises:
        DataError: the file is not there, cannot be opened or read, or is something else than lines of UTF-8.
    """
    file = existing_file(path)
    try:
        with file.open("rb") as stream:
            _refuse_other_kinds(path, stream.read(4))
            stream.seek(0)
            yield from _numbered(stream)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}. Check its permissions, or copy it again."
        ) from None


def _numbered(stream: BinaryIO) -> Iterator[NumberedRow]:
    number = 0
    while line := stream.readline(LONGEST_ROW + 1):
        number += 1
        if len(line) > LONGEST_ROW:
            while line and not line.endswith(b"\n"):
                line = stream.readline(LONGEST_ROW)
            yield (
                number,
                RowError("", f"the line is longer than {LONGEST_ROW >> 20} MiB; is a line feed missing?"),
            )
        elif line.strip():
            yield number, _parse(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line)


def _refuse_other_kinds(path: str, beginning: bytes) -> None:
    """Files whose first row would say nothing of what is wrong."""
    kinds = {
        PACKED: f"compressed; unpack it first: `gunzip < {path} > <name>.jsonl`",
        b"PAR1": "a parquet file; read it with data=parquet",
        codecs.BOM_UTF16_LE: "UTF-16; save it as UTF-8",
        codecs.BOM_UTF16_BE: "UTF-16; save it as UTF-8",
    }
    for mark, what in kinds.items():
        if beginning.startswith(mark):
            raise DataError(f"{path} is not JSONL: it is {what}.")


def _parse(raw: bytes) -> Row | RowError:
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        return RowError("", f"byte {error.start + 1} is not UTF-8; save the file as UTF-8")
    except json.JSONDecodeError as error:
        return RowError("", f"not JSON: {error.msg} at character {error.colno}")
    except (ValueError, RecursionError) as error:
        return RowError("", f"not usable JSON: {error}")
    if not isinstance(value, dict):
        return RowError("", f"a JSON object is expected, this is a {type(value).__name__}")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
