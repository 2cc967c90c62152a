"""samples.jsonl: a few training rollouts, token by token, for reading; no number is computed from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from prefix_rft.errors import RunError
from prefix_rft.runs.jsonl import append_record, read_records, rewrite_records
from prefix_rft.runs.seals import cut_back, seals_of

ROLLOUT_SAMPLES_FILE = "samples.jsonl"


@dataclass(frozen=True)
class RolloutSample:
    """A stretch of one response; its lists have an entry for every token of the stretch."""

    step: int
    """Rollout step, from 1."""
    question: str
    """Id of the question."""
    rollout: int
    """Index of the rollout within its question."""
    prompt: str
    """The end of the rendered question."""
    pieces: list[str]
    """Text of every token; empty for a special one, and for one that ends within a character."""
    weights: list[float]
    """Weight of every token's log-probability gradient: alpha where it was sampled, beta where it was imitated."""
    imitated: int
    """Tokens of the whole response that come from the demonstration; they are its first ones."""
    start: int
    """Tokens of the response before the stretch."""
    tokens: int
    """Tokens of the whole response."""
    reward: float | None
    """None for a response that is not graded."""
    finished: bool
    """Whether it ended by itself; False: cut at the longest response."""


def append_samples(run_path: Path, samples: Iterable[RolloutSample]) -> None:
    """Append records.

    Raises:
        RunError: the disk is full or refuses.
    """
    for sample in samples:
        append_record(run_path / ROLLOUT_SAMPLES_FILE, asdict(sample))


def truncate_samples(run_path: Path, step: int) -> None:
    """Drop the records after `step`, which a resumed run will write again.

    Raises:
        RunError: the file is damaged, or the disk refuses.
    """
    path = run_path / ROLLOUT_SAMPLES_FILE
    seals = seals_of(run_path, step) if step else None
    # It is for reading only: no run ends for what was changed in it, or because it was deleted.
    if not path.exists() or cut_back(run_path, ROLLOUT_SAMPLES_FILE, seals) is not None:
        return
    records = read_records(path)
    kept = [row for row in records.rows if row["step"] <= step]
    if len(kept) < len(records.rows) or records.torn:
        rewrite_records(path, kept)


def read_samples(run_path: Path) -> list[RolloutSample]:
    """Every record, in the order written; none where the run has no such file.

    Raises:
        RunError: a committed line is damaged, or is no such record; names the file.
    """
    path = run_path / ROLLOUT_SAMPLES_FILE
    try:
        return [RolloutSample(**row) for row in read_records(path).rows]
    except TypeError as error:
        raise RunError(
            f"{path} holds a line that is no rollout ({error}). Delete the file: it is for reading only."
        ) from error
