"""Rows of a JSONL file: one JSON object a line, UTF-8, blank lines passed over."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator

from prefix_rft.data.rows import NumberedRow, Row, RowError, existing_file
from prefix_rft.errors import DataError


def rows(path: str) -> Iterator[NumberedRow]:
    """Every line that is not blank, with its number.

    A byte-order mark and carriage returns are accepted. Lines end at line feeds only, so that the Unicode
    line separators that JSON allows inside strings do not cut a row.

    Raises:
        DataError: the file is not there or cannot be opened.
    """
    file = existing_file(path)
    try:
        stream = file.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}. Check its permissions.") from None
    with stream:
        for number, line in enumerate(stream, start=1):
            raw = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if raw.strip():
                yield number, _parse(raw)


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
