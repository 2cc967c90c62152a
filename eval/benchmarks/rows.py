"""From a row of a file or of the hub to a problem."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from eval.benchmarks.choices import with_options
from eval.benchmarks.digests import normalised_answer
from eval.benchmarks.schema import AnswerKind, Benchmark, Problem
from prefix_rft.data.rows import RowError, missing_column


def from_file(row: Mapping[str, Any], benchmark: Benchmark) -> Problem:
    """The problem of a local file's row.

    Raises:
        RowError: a field is missing or is not what it should be.
    """
    rest = {key: value for key, value in row.items() if key not in ("id", "problem", "answer", "meta")}
    inner = row.get("meta")
    meta = rest | inner if isinstance(inner, dict) else rest
    answer = _answer(_get(row, "answer"), "answer", benchmark.answer)
    return Problem(_text(_get(row, "id"), "id"), _text(_get(row, "problem"), "problem"), answer, meta)


def from_hub(row: Mapping[str, Any], index: int, benchmark: Benchmark) -> Problem:
    """The problem of a row of the hub's copy; `index` counts rows from 0.

    Raises:
        RowError: a column is missing or is not what it should be.
    """
    hub = benchmark.hub
    name = index if hub.id is None else _get(row, hub.id)
    if hub.choices is not None:
        problem, answer = with_options(row, hub.choices, benchmark.name)
    else:
        problem = _text(_get(row, hub.problem), hub.problem)
        answer = _answer(_get(row, hub.answer), hub.answer, benchmark.answer)
    used = {hub.id, hub.problem, hub.answer}
    return Problem(
        f"{benchmark.name}-{name}",
        problem,
        answer,
        {key: value for key, value in row.items() if key not in used},
    )


def _get(row: Mapping[str, Any], column: str) -> Any:
    if column not in row:
        raise missing_column(column, list(row), "eval/benchmarks/registry.py")
    return row[column]


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise RowError(field, f"a text is expected, this is {value!r:.40}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise RowError(field, "it holds half of a surrogate pair, which is not a character")
    return value


def _answer(value: Any, field: str, kind: AnswerKind) -> str:
    """The gold answer as text; a whole number without its decimals."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        value = repr(value)
    text = _text(value, field).strip()
    return normalised_answer(text, kind) if kind == "integer" else text
