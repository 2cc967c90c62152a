"""What W&B shows of a run besides its curves: samples of training, and scores and responses of evaluations.

Plain rows and numbers, read from the files of the run directory and bounded in size; nothing here knows W&B.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefix_rft.runs.atomic import read_json
from prefix_rft.runs.jsonl import Record
from prefix_rft.runs.rollout_samples import RolloutSample, read_samples

SAMPLES, SCORES, RESPONSES = "samples", "eval/scores", "eval/responses"
"""Names of the tables."""
SAMPLE_COLUMNS = (
    *("step", "question", "rollout", "prompt", "imitated", "sampled"),
    *("reward", "finished", "tokens", "first_token"),
)
SCORE_COLUMNS = (
    *("split", "metric", "value", "low", "high", "se_questions", "se_samples", "questions", "samples"),
    *("protocol", "protocol_digest", "protocol_record"),
)
RESPONSE_COLUMNS = ("split", "protocol", "question", "response", "extracted", "correct", "status", "tokens")
MOST_CHARACTERS = 4000
"""Of one text of a table; a longer one is cut, and ends in CUT."""
CUT = " […]"

_SCORES_FILE, _SAMPLES_FILE, _VERDICTS_FILE = "scores.json", "samples.parquet", "verdicts.parquet"
_SHARES = ("mean_tokens", "truncated_share", "no_answer_share")
Rows = list[list[Any]]


@dataclass(frozen=True)
class Evaluated:
    """One finished evaluation of a run."""

    split: str
    """Split of the data, or a benchmark's name."""
    folder: Path
    """Named by the protocol."""
    scores: Record
    """scores.json."""

    @property
    def estimates(self) -> Iterator[tuple[str, Record]]:
        """Every score by name, with what is known about its uncertainty."""
        yield from self.scores["metrics"].items()
        for majority in self.scores.get("majority", ()):
            yield f"maj@{majority['k']}", majority["estimate"]
        for name in _SHARES:
            yield name, {"value": self.scores[name], "se_questions": None, "se_samples": None, "ci95": None}


def score_name(split: str, folder: str, metric: str) -> str:
    """A score's key in W&B's summary; W&B sorts and filters only by names of letters, digits, _ and /.

    Args:
        split: of the data, or a benchmark's name.
        folder: the protocol's folder: scores of two protocols never share a key.
        metric: avg@32, pass@8, mean_tokens, ...
    """
    name = f"eval/{split}/{folder}/{metric.replace('@', '_at_')}"
    return re.sub(r"[^A-Za-z0-9_/]", "_", name)


def find_evaluated(run_path: Path) -> list[Evaluated]:
    """Finished evaluations, by split and protocol.

    Raises:
        RunError: a scores.json is damaged.
    """
    return [Evaluated(path.parents[1].name, path.parent, read_json(path)) for path in _score_files(run_path)]


def evaluations_digest(run_path: Path) -> str:
    """Digest of every score of the run; empty where it has none."""
    return files_digest(_score_files(run_path))


def files_digest(paths: Iterable[Path]) -> str:
    """Digest of the contents of those files that exist; empty where none does."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16] if digests else ""


def score_values(evaluated: Sequence[Evaluated]) -> dict[str, float]:
    """Every score under its key, the ends of its 95% interval under <key>/low and <key>/high."""
    values: dict[str, float] = {}
    for one in evaluated:
        for metric, estimate in one.estimates:
            key = score_name(one.split, one.folder.name, metric)
            values[key] = estimate["value"]
            if estimate["ci95"] is not None:
                values[f"{key}/low"], values[f"{key}/high"] = estimate["ci95"]
    return values


def score_rows(evaluated: Sequence[Evaluated]) -> Rows:
    """A row a score, with its interval and its whole protocol."""
    return [[*row, *_protocol(one)] for one in evaluated for row in _score_rows(one)]


def sample_rows(run_path: Path, most: int) -> Rows:
    """The newest rollouts that training wrote down, oldest first.

    Raises:
        RunError: the file is damaged.
    """
    return [_sample_row(sample) for sample in read_samples(run_path)[-most:]] if most else []


def response_rows(one: Evaluated, most: int) -> Rows:
    """The first sample of the first questions of an evaluation, with its verdict."""
    paths = [one.folder / name for name in (_SAMPLES_FILE, _VERDICTS_FILE)]
    if not most or not all(path.exists() for path in paths):
        return []
    samples, verdicts = (_first(path, most * one.scores["samples"]) for path in paths)
    shown = [(pair, row) for pair, row in samples.items() if pair[1] == 0 and pair in verdicts][:most]
    return [_response_row(one, row, verdicts[pair]) for pair, row in shown]


def _score_files(run_path: Path) -> list[Path]:
    return sorted((run_path / "eval").glob(f"*/*/{_SCORES_FILE}"))


def _score_rows(one: Evaluated) -> Iterator[list[Any]]:
    counts = [one.scores["questions"], one.scores["samples"]]
    for metric, estimate in one.estimates:
        low, high = estimate["ci95"] or (None, None)
        errors = [estimate["se_questions"], estimate["se_samples"]]
        yield [one.split, metric, estimate["value"], low, high, *errors, *counts]


def _protocol(one: Evaluated) -> list[str]:
    record = json.dumps(one.scores["protocol"], ensure_ascii=False, sort_keys=True)
    return [one.folder.name, one.scores["protocol_digest"], record]


def _sample_row(sample: RolloutSample) -> list[Any]:
    border = max(0, sample.imitated - sample.start)
    texts = [sample.prompt, "".join(sample.pieces[:border]), "".join(sample.pieces[border:])]
    end = [sample.reward, sample.finished, sample.tokens, sample.start]
    return [sample.step, sample.question, sample.rollout, *map(_cut, texts), *end]


def _response_row(one: Evaluated, sample: Record, verdict: Record) -> list[Any]:
    text, extracted = _cut(sample["response"]), _cut(verdict["extracted"] or "")
    verdicts = [extracted, verdict["correct"], verdict["status"], sample["tokens"]]
    return [one.split, one.folder.name, sample["question_id"], text, *verdicts]


def _first(path: Path, rows: int) -> dict[tuple[str, int], Record]:
    """The first rows of a parquet file, by question and sample; the others are not read."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        batch = next(file.iter_batches(batch_size=rows), None)
        found = batch.to_pylist() if batch is not None else []
    return {(row["question_id"], row["sample"]): row for row in found}


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + CUT
