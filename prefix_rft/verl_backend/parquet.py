"""The encoded questions as parquet files: what verl's data loading is given, and what can be looked at afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from prefix_rft.rollout import QuestionTokens

_TOKENS = pa.list_(pa.int32())
_SCHEMA = pa.schema(
    [("id", pa.string()), ("prompt", _TOKENS), ("answer", pa.string()), ("demonstration", _TOKENS)]
)


def write_questions(questions: Sequence[QuestionTokens], file: Path) -> Path:
    """Write the questions in their order; returns the file."""
    columns = {name: [getattr(question, name) for question in questions] for name in _SCHEMA.names}
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pydict(columns, schema=_SCHEMA), file)
    return file


def read_questions(file: Path) -> list[QuestionTokens]:
    """What `write_questions` wrote."""
    return [
        QuestionTokens(
            id=row["id"],
            prompt=tuple(row["prompt"]),
            answer=row["answer"],
            demonstration=None if row["demonstration"] is None else tuple(row["demonstration"]),
        )
        for row in pq.read_table(file).to_pylist()
    ]
