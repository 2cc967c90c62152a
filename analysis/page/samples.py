"""Responses of a run for reading: recorded rollouts with what became of their tokens, and evaluated samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from analysis.page.text import cut
from eval.samples import SAMPLES, VERDICTS, Kind, samples_path, verdicts_path
from prefix_rft.errors import DataError
from prefix_rft.runs.rollout_samples import RolloutSample

LONGEST = 3000
"""Most characters of one text on the page."""
LOOKS = 3
"""Rollout steps whose rollouts are shown: the first recorded, the middle one, the last."""
QUESTIONS = 4
"""Questions of an evaluation of which a sample is shown, the same ones of every run."""
_ROWS = 256
"""Rows that are looked through at a time."""

Json = dict[str, Any]


def rollouts(records: Sequence[RolloutSample]) -> list[Json]:
    """The recorded rollouts of a few steps, each response as stretches of tokens with one fate."""
    steps = sorted({record.step for record in records})
    shown = {steps[round(i * (len(steps) - 1) / (LOOKS - 1))] for i in range(LOOKS)} if steps else set()
    return [_rollout(record) for record in records if record.step in shown]


def _rollout(record: RolloutSample) -> Json:
    weights, prefix = record.weights, max(0, record.imitated - record.start)
    return {
        "step": record.step,
        "question": record.question,
        "rollout": record.rollout,
        "prompt": cut(record.prompt, LONGEST),
        "stretches": list(_stretches(record, prefix)),
        "start": record.start,
        "tokens": record.tokens,
        "shown": len(weights),
        "imitated": record.imitated,
        "kept": sum(weight != 0 for weight in weights[:prefix]),
        "seen": min(prefix, len(weights)),
        "advantage": next(filter(None, weights[prefix:]), 0.0),
        "prefix_advantage": next(filter(None, weights[:prefix]), 0.0),
        "reward": record.reward,
        "finished": record.finished,
    }


def _stretches(record: RolloutSample, prefix: int) -> Iterator[tuple[str, str]]:
    """Text with its fate: i imitated or e explored; then + or - for the sign of the weight, 0 without one."""
    fates = [
        ("i" if place < prefix else "e") + ("0" if weight == 0 else "+" if weight > 0 else "-")
        for place, weight in enumerate(record.weights)
    ]
    pairs = zip(fates, record.pieces, strict=True)
    for fate, together in groupby(pairs, key=lambda pair: pair[0]):
        yield "".join(piece for _, piece in together), fate


def evaluated(folder: Path) -> list[Json]:
    """The first sample of the first questions of an evaluation, with its verdict.

    Raises:
        DataError: a file is missing or damaged.
    """
    samples = _firsts(samples_path(folder), SAMPLES)
    verdicts = {row.question_id: row for row in _firsts(verdicts_path(folder), VERDICTS)}
    return [
        {
            "question": sample.question_id,
            "response": cut(sample.response, LONGEST),
            "tokens": sample.tokens,
            "finished": sample.finished,
            "correct": verdicts[sample.question_id].correct,
            "status": verdicts[sample.question_id].status,
            "answer": verdicts[sample.question_id].extracted,
        }
        for sample in samples
    ]


def _firsts(path: Path, kind: Kind[Any]) -> list[Any]:
    """Rows of sample 0 from the beginning of a file, however long it is."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    firsts: list[Any] = []
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for rows in file.iter_batches(_ROWS, row_groups=[0], columns=list(kind.columns)):
                firsts += rows.filter(pc.equal(rows["sample"], 0)).to_pylist()
                if len(firsts) >= QUESTIONS:
                    break
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}. Delete it and evaluate the run again.") from error
    return [kind.row(**row) for row in firsts[:QUESTIONS]]
