"""Rows of metrics.jsonl as typed columns, a run at a time, and a frame from the columns of many runs.

A column is named `<kind>:<metric>`, so that runs in which a metric is of different kinds lie in one table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from prefix_rft.runs.jsonl import Record

_KINDS: dict[frozenset[type], tuple[str, Any]] = {
    frozenset({int}): ("number", pa.float64()),
    frozenset({float}): ("number", pa.float64()),
    frozenset({int, float}): ("number", pa.float64()),
    frozenset({bool}): ("flag", pa.bool_()),
    frozenset({str}): ("text", pa.string()),
}
_MIXED = "mixed"
"""Anything else, each value as JSON."""


def columns_of(rows: Sequence[Record]) -> Any:
    """One run's rows as an Arrow table; a metric that is never anything but null has no column."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [_column(name, [row.get(name) for row in rows]) for name in names]
    filled = dict(column for column in columns if column is not None)
    # A row is a row even where it holds nothing.
    filled["row"] = pa.array(range(len(rows)), pa.int32())
    return pa.table(filled)


def frame_of(tables: Sequence[Any]) -> pd.DataFrame:
    """The rows of all tables, one after the other, under their metrics' names in alphabetical order.

    Numbers are float64 and NaN where there is none; a metric of several kinds keeps its values as they are.
    """
    table = pa.concat_tables(tables, promote_options="default") if tables else columns_of([])
    parts: dict[str, dict[str, Any]] = {}
    for column in table.drop_columns(["row"]).column_names:
        kind, _, name = column.partition(":")
        if table[column].null_count < table.num_rows:
            parts.setdefault(name, {})[kind] = table[column]
    return pd.DataFrame(
        {name: _series(parts[name], table.num_rows) for name in sorted(parts)},
        index=pd.RangeIndex(table.num_rows),
    )


def _column(name: str, values: list[Any]) -> tuple[str, Any] | None:
    types = frozenset(map(type, values)) - {type(None)}
    if not types:
        return None
    kind, alias = _KINDS.get(types, (_MIXED, None))
    if alias is not None:
        try:
            return f"{kind}:{name}", pa.array(values, alias)
        except (pa.ArrowException, UnicodeError):
            pass  # An integer beyond 2^53, or text that is not Unicode: kept exactly, as JSON.
    texts = [None if value is None else json.dumps(value) for value in values]
    return f"{_MIXED}:{name}", pa.array(texts, pa.string())


def _series(parts: Mapping[str, Any], rows: int) -> Any:
    if len(parts) == 1 and _MIXED not in parts:
        (column,) = parts.values()
        return column.to_pandas()
    values = np.full(rows, None, dtype=object)
    for kind, column in parts.items():
        for place, value in enumerate(column.to_pylist()):
            if value is not None:
                values[place] = json.loads(value) if kind == _MIXED else value
    return pd.Series(values, dtype=object)
