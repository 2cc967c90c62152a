"""The file in which what was read of runs is kept: one file, so that one rename replaces all of it.

The first line is the digest of the rest, the second says what follows: two parquet tables, the runs and their curves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import analysis
import eval as evaluation
import prefix_rft
from analysis.code_digest import code_digest
from analysis.columns import columns_of
from prefix_rft.runs.atomic import write_bytes

FORMAT = 1
"""Raised when the layout of the file changes."""
_CODE = (
    (prefix_rft, ("*.py", "runs/*.py", "settings/*.py")),
    (evaluation, ("*.py",)),
    (analysis, ("cache*.py", "cells.py", "columns.py", "evaluations.py", "frames.py", "reading.py")),
)
"""The modules on which it depends what is read of a run."""


@dataclass(frozen=True)
class Entry:
    """What is kept of one run."""

    stamp: str
    """Of the files that it was read from (`analysis.cache_stamps`)."""
    content: str
    """JSON."""
    curves: Any
    """Arrow table."""


def load(path: Path) -> dict[str, Entry]:
    """What is kept, by run id; nothing where there is no file, a damaged one, or one that other code wrote."""
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if digest != _digest(body):
        return {}
    head, _, tables = body.partition(b"\n")
    facts = json.loads(head)
    if facts["writer"] != _writer():
        return {}
    return _entries(_table(tables[: facts["runs"]]), _table(tables[facts["runs"] :]))


def save(path: Path, entries: Mapping[str, Entry]) -> None:
    """Replace the file; its folder must exist.

    Raises:
        RunError: the disk is full or refuses; the old file is still there.
    """
    curves = [entry.curves for entry in entries.values()]
    columns = {
        "run_id": list(entries),
        "stamp": [entry.stamp for entry in entries.values()],
        "content": [entry.content for entry in entries.values()],
        "rows": [table.num_rows for table in curves],
    }
    joined = pa.concat_tables(curves, promote_options="default") if curves else columns_of([])
    runs, lines = _parquet(pa.table(columns)), _parquet(joined)
    head = json.dumps({"writer": _writer(), "runs": len(runs)}).encode()
    body = head + b"\n" + runs + lines
    write_bytes(path, _digest(body) + b"\n" + body, durable=False)


def _entries(runs: Any, curves: Any) -> dict[str, Entry]:
    found = runs.to_pydict()
    starts = accumulate(found["rows"], initial=0)
    return {
        run_id: Entry(stamp, content, curves.slice(start, rows))
        for run_id, stamp, content, rows, start in zip(*found.values(), starts, strict=False)
    }


def _table(content: bytes) -> Any:
    # One chunk a column, of which runs then are slices.
    return pq.read_table(pa.BufferReader(content)).combine_chunks()


def _parquet(table: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd", compression_level=1)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


@cache
def _writer() -> str:
    """What is kept is what this code, as it lies on disk now, reads from a run's files."""
    return code_digest(_CODE, str(FORMAT), pa.__version__)
