"""How responses look whatever they answer: their length, and whether they have the form that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.protocol import ProtocolRecord
from prefix_rft.errors import DataError

OPEN, CLOSE = "<think>", "</think>"
_BATCH = 512
"""Responses read together: 8,192 tokens are about 30 kB."""


@dataclass(frozen=True)
class Lengths:
    """Lengths of responses in tokens, end-of-sequence token included."""

    mean: float
    """Mean."""
    median: float
    """Median."""
    p95: float
    """95th percentile."""
    mean_correct: float | None
    """Mean of the correct responses; None where there is none."""
    mean_wrong: float | None
    """Mean of the wrong ones; None where there is none."""
    truncated_wrong_share: float | None
    """Share of the wrong responses that were cut at the longest length; None where none is wrong."""


def lengths(tokens: NDArray[np.int64], finished: NDArray[np.bool_], correct: NDArray[np.bool_]) -> Lengths:
    """Of responses in any order, the same in all three; at least one."""
    return Lengths(
        mean=float(tokens.mean()),
        median=float(np.median(tokens)),
        p95=float(np.percentile(tokens, 95)),
        mean_correct=_mean(tokens[correct]),
        mean_wrong=_mean(tokens[~correct]),
        truncated_wrong_share=_mean(~finished[~correct]),
    )


def thinks(record: ProtocolRecord) -> bool:
    """Whether responses under this protocol begin with, or are graded by, a thinking part."""
    return OPEN in record.assistant_start or record.think != "whole"


def has_form(response: str, answered: bool, opened: bool) -> bool:
    """Whether an answer was found, and no thought was left open.

    Args:
        response: as the policy wrote it.
        answered: whether the grader found an answer.
        opened: whether the prompt already opened a thought.
    """
    began, ended = response.rfind(OPEN), response.rfind(CLOSE)
    return answered and ended >= began and (ended >= 0 or not opened)


def format_rate(path: Path, answered: NDArray[np.bool_], record: ProtocolRecord) -> float:
    """Share of responses with the form asked for; the texts are read only where the protocol has a thinking part.

    Args:
        path: samples.parquet.
        answered: of every row of it, whether the grader found an answer.
        record: the protocol.

    Raises:
        DataError: the file is damaged.
    """
    if not thinks(record):
        return float(answered.mean())
    opened = OPEN in record.assistant_start
    formed = sum(
        has_form(response, bool(found), opened)
        for response, found in zip(_responses(path), answered, strict=True)
    )
    return formed / answered.size


def _responses(path: Path) -> Iterator[str]:
    """In the file's order, few in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=_BATCH, columns=["response"]):
                yield from batch["response"].to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is damaged ({error}). Delete that file and run again: its responses are made again."
        ) from error


def _mean(values: NDArray[np.int64] | NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if values.size else None
