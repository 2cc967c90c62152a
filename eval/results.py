"""What an evaluation leaves in its folder besides samples and verdicts, and how others read it.

Axes: Q questions, S samples a question.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from eval.arrow import numbers_of
from eval.form import Lengths, format_rate, lengths
from eval.intervals import INTERVAL_METHOD
from eval.majority import Majority, ballots, majorities, majority_at
from eval.protocol import ProtocolError, ProtocolRecord, differences
from eval.samples import SAMPLES, VERDICTS, count_rows, read_table, samples_path, verdicts_path
from eval.scores import Estimate, PassAt, estimates, pass_curve
from prefix_rft.errors import DataError
from prefix_rft.runs.atomic import write_json

PROTOCOL_FILE = "protocol.json"
SCORES_FILE = "scores.json"


_DIGEST = "sha256"
"""Key of the digest of everything else in the file."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


File = TypeVar("File", bound=_File)


class Claim(_File):
    """protocol.json: what the folder's samples are samples of."""

    subject: str
    """Whose samples: run and checkpoint."""
    protocol: ProtocolRecord
    """How they are made and graded."""


class Scores(_File):
    """scores.json: the scores of one policy on one set of questions, with everything needed to judge them."""

    subject: str
    """Whose scores: run and checkpoint."""
    protocol: ProtocolRecord
    """How they were measured."""
    protocol_digest: str
    """8 hex digits of the protocol."""
    questions: int
    """Q."""
    samples: int
    """S, samples a question."""
    metrics: dict[str, Estimate]
    """By name: `avg@S` first, then each `pass@k`."""
    interval: str = INTERVAL_METHOD
    """How the intervals were made."""
    statuses: dict[str, int]
    """Verdicts by status (ok, no_answer, timeout, ...); they add up to Q * S."""
    no_answer_share: float
    """Share of responses in which no final answer was found."""
    truncated_share: float
    """Share of responses cut at the longest length."""
    mean_tokens: float
    """Mean length of a response in tokens."""
    curve: tuple[PassAt, ...] = ()
    """pass@k for k = 1, 2, 4, ..., S; empty in files of earlier versions, as are the fields below."""
    majority: tuple[Majority, ...] = ()
    """maj@k for k = 4, 8, ..., S (`eval.majority` states the rule)."""
    lengths: Lengths | None = None
    """Lengths of the responses, also of the correct and of the wrong ones alone."""
    format_rate: float | None = None
    """Share of responses in which an answer was found and no thought was left open."""

    @property
    def timeouts(self) -> int:
        """Verdicts that took longer than the limit, counted as wrong."""
        return self.statuses.get("timeout", 0)

    @property
    def headline(self) -> Estimate:
        """avg@S."""
        return self.metrics[f"avg@{self.samples}"]


_REMADE: dict[type[_File], str] = {
    Scores: "Delete that file and run again: it is made from the verdicts; nothing else is lost.",
    Claim: "Restore it from a copy, or delete its folder and run again: the same samples are then made again.",
}
"""How to go on without a damaged file."""


def claim(folder: Path, wanted: Claim) -> None:
    """Write protocol.json into a fresh folder; in a used one make sure that it says the same.

    Raises:
        ProtocolError: the folder holds samples under another protocol, of another subject, or of none.
    """
    path = folder / PROTOCOL_FILE
    if path.exists():
        _must_match(path, _read(path, Claim), wanted)
        return
    if any(folder.glob("*.parquet")) or any(folder.glob("*.parts/*.parquet")):
        raise ProtocolError(
            f"{folder} holds samples but no {PROTOCOL_FILE}, so nobody knows how they were made; "
            "restore it, or delete the folder to sample again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write(path, wanted)


def score(folder: Path, record: ProtocolRecord, subject: str, pass_at: Sequence[int]) -> Scores:
    """The scores of stored verdicts.

    Raises:
        DataError: samples or verdicts are missing, damaged, or fewer or more than the protocol says.
    """
    ids, correct_QS = verdict_matrix(folder)
    if correct_QS.shape != (record.questions, record.samples):
        raise DataError(
            f"{folder} holds verdicts on {len(ids)} questions x {correct_QS.shape[1]} samples, its protocol "
            f"says {record.questions} x {record.samples}. Delete {verdicts_path(folder)} and run again."
        )
    verdicts = read_table(verdicts_path(folder), VERDICTS, ["status", "extracted"])
    statuses, answers = (verdicts[name].to_pylist() for name in ("status", "extracted"))
    answered = np.array([status != "no_answer" for status in statuses])
    written = read_table(samples_path(folder), SAMPLES, ["tokens", "finished"])
    tokens, finished = (np.array(written[name].to_pylist()) for name in ("tokens", "finished"))
    return Scores(
        subject=subject,
        protocol=record,
        protocol_digest=record.digest,
        questions=len(ids),
        samples=record.samples,
        metrics=estimates(correct_QS, pass_at),
        statuses=dict(sorted(Counter(statuses).items())),
        no_answer_share=statuses.count("no_answer") / len(statuses),
        truncated_share=1 - float(finished.mean()),
        mean_tokens=float(tokens.mean()),
        curve=pass_curve(correct_QS),
        majority=majorities(ballots(answers, correct_QS), majority_at(record.samples), record.seed),
        lengths=lengths(tokens, finished, correct_QS.ravel()),
        format_rate=format_rate(samples_path(folder), answered, record),
    )


def write_scores(folder: Path, scores: Scores) -> None:
    """Write scores.json, all or nothing.

    Raises:
        RunError: the disk is full or refuses.
    """
    _write(folder / SCORES_FILE, scores)


def read_scores(folder: Path) -> Scores:
    """The scores of a finished evaluation.

    Raises:
        DataError: scores.json is missing, damaged, or of another subject than the samples beside it.
    """
    scores = _read(folder / SCORES_FILE, Scores)
    if (folder / PROTOCOL_FILE).exists() and (owner := read_claim(folder).subject) != scores.subject:
        raise DataError(
            f"{folder / SCORES_FILE} is of {scores.subject}, {PROTOCOL_FILE} beside it of {owner}: one of them was "
            "copied here. Delete their folder and run again: the same samples are then made and graded again."
        )
    return scores


def read_claim(folder: Path) -> Claim:
    """What an evaluation measures, finished or not.

    Raises:
        DataError: protocol.json is missing or damaged.
    """
    return _read(folder / PROTOCOL_FILE, Claim)


def is_complete(folder: Path) -> bool:
    """Whether scores, samples and verdicts are there, every sample graded; reads no rows."""
    samples, verdicts = samples_path(folder), verdicts_path(folder)
    if not all(path.exists() for path in (folder / SCORES_FILE, samples, verdicts)):
        return False
    scores = read_scores(folder)
    return count_rows(samples, SAMPLES) == count_rows(verdicts, VERDICTS) == scores.questions * scores.samples


def verdict_matrix(folder: Path) -> tuple[list[str], NDArray[np.bool_]]:
    """Ids of the questions in their order, and whether each sample is correct; [Q, S].

    Raises:
        DataError: verdicts.parquet is missing, damaged, or not S samples of every question in order.
    """
    path = verdicts_path(folder)
    table = read_table(path, VERDICTS, ["question_id", "sample", "correct"])
    # By number instead of by name: thousands of runs are read so.
    names = table["question_id"].combine_chunks().dictionary_encode()
    ids, rows = names.dictionary.to_pylist(), len(names)
    samples = rows // len(ids) if ids else 0
    found = (names.indices, table["sample"].combine_chunks(), table["correct"].combine_chunks())
    whole = samples > 0 and rows == samples * len(ids) and not any(column.null_count for column in found)
    question, sample, correct = map(numbers_of, found) if whole else ((), (), ())
    expected = np.divmod(np.arange(rows), max(samples, 1))
    if not (whole and np.array_equal(question, expected[0]) and np.array_equal(sample, expected[1])):
        raise DataError(
            f"{path} does not hold the same samples of every question in order. "
            "Delete that file and run again: its responses are then graded again."
        )
    return ids, np.asarray(correct, dtype=np.bool_).reshape(len(ids), samples)


def _must_match(path: Path, there: Claim, wanted: Claim) -> None:
    clashes = differences(there.protocol, wanted.protocol)
    if there.subject != wanted.subject:
        clashes["subject"] = f"{there.subject!r} and {wanted.subject!r}"
    if clashes:
        listed = "".join(f"\n  {name}: {text}" for name, text in clashes.items())
        raise ProtocolError(
            f"{path} describes another measurement (there, and now asked for):{listed}\n"
            f"Evaluate into another folder, or delete {path.parent} to sample again."
        )


def _write(path: Path, content: _File) -> None:
    """With a digest of itself: one changed digit of a score is still a score."""
    values = json.loads(content.model_dump_json())  # in which what is not a number is null
    write_json(path, {**values, _DIGEST: _digest(values)})


def _read(path: Path, kind: type[File]) -> File:
    try:
        values = json.loads(path.read_bytes())
        # Files of earlier versions have no digest.
        if isinstance(values, dict) and _DIGEST in values and values.pop(_DIGEST) != _digest(values):
            raise ValueError(f"it is not what was written: its {_DIGEST} differs")
        return kind.model_validate_json(json.dumps(values))
    except FileNotFoundError:
        raise DataError(f"there is no {path}; evaluate the run first.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error}. {_REMADE[kind]}") from error


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
