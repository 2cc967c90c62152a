"""Scores of many evaluations as rows, as a frame, and as one parquet file; with what finds and averages them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.evaluated import SCIENTIFIC as SCIENTIFIC
from eval.evaluated import Evaluated as Evaluated
from eval.evaluated import Found as Found
from eval.evaluated import average_of as average_of
from eval.evaluated import find as find
from eval.evaluated import same_measure as same_measure
from eval.results import Scores
from eval.samples import write_table
from eval.scores import Estimate

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_PLACE = {"subject": "string", "benchmark": "string", "grading": "string", "metric": "string"}
_NUMBERS = dict.fromkeys(("value", "se_questions", "se_samples", "ci95_low", "ci95_high"), "double")
_MEASURED = {
    "questions": "int64",
    "samples": "int64",
    "protocol": "string",
    "protocol_digest": "string",
    "grader": "string",
    "timeouts": "int64",
    "truncated_share": "double",
    "changed_data": "bool",
    "folder": "string",
}
COLUMNS = _PLACE | _NUMBERS | _MEASURED
"""Columns of the frame, with their parquet types."""


def rows_of(evaluations: Sequence[Evaluated]) -> list[dict[str, Any]]:
    """One row a subject, benchmark and metric, with everything that says how it was measured."""
    return [row for one in evaluations for row in _rows(one)]


def frame(evaluations: Sequence[Evaluated]) -> pd.DataFrame:
    """`rows_of` as a frame; see `COLUMNS`."""
    import pandas as pd

    return pd.DataFrame(rows_of(evaluations), columns=list(COLUMNS))


def write_frame(path: Path, evaluations: Sequence[Evaluated]) -> None:
    """`rows_of` as one parquet file, all or nothing.

    Raises:
        RunError: the disk is full or refuses.
    """
    import pyarrow as pa

    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pa.Table.from_pylist(rows_of(evaluations), schema=_schema()))


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.type_for_alias(alias)) for name, alias in COLUMNS.items()])


def _rows(one: Evaluated) -> Iterator[dict[str, Any]]:
    gradings = {"protocol": one.scores} | ({SCIENTIFIC: one.scientific} if one.scientific else {})
    for grading, scores in gradings.items():
        measured = _measured(one, scores)
        for metric, estimate in _estimates(scores):
            place = {
                "subject": scores.subject,
                "benchmark": one.benchmark,
                "grading": grading,
                "metric": metric,
            }
            yield place | _numbers(estimate) | measured


def _measured(one: Evaluated, scores: Scores) -> dict[str, Any]:
    return {
        "questions": scores.questions,
        "samples": scores.samples,
        "protocol": scores.protocol.name,
        "protocol_digest": scores.protocol_digest,
        "grader": scores.protocol.grader,
        "timeouts": scores.timeouts,
        "truncated_share": scores.truncated_share,
        "changed_data": one.changed,
        "folder": str(one.folder),
    }


def _numbers(estimate: Estimate) -> dict[str, float | None]:
    low, high = estimate.ci95 or (None, None)
    return {
        "value": estimate.value,
        "se_questions": estimate.se_questions,
        "se_samples": estimate.se_samples,
        "ci95_low": low,
        "ci95_high": high,
    }


def _estimates(scores: Scores) -> Iterator[tuple[str, Estimate]]:
    points = {f"pass@{point.k}": point.estimate for point in scores.curve}
    yield from (scores.metrics | points).items()
    yield from ((f"maj@{found.k}", found.estimate) for found in scores.majority)
    shares = {"no_answer_share": scores.no_answer_share, "truncated_share": scores.truncated_share}
    if scores.format_rate is not None:
        shares["format_rate"] = scores.format_rate
    if scores.lengths is not None:
        shares |= {f"tokens_{name}": getattr(scores.lengths, name) for name in ("mean", "median", "p95")}
        split = {f"tokens_{name}": getattr(scores.lengths, name) for name in ("mean_correct", "mean_wrong")}
        shares |= {name: value for name, value in split.items() if value is not None}
    else:
        shares["tokens_mean"] = scores.mean_tokens
    yield from ((name, Estimate(value, None, None, None)) for name, value in shares.items())
