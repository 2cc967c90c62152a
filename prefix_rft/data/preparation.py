"""A published data set becomes a file of one's own: streamed, written whole or not at all, with a report beside it."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from prefix_rft.data.findings import Judged
from prefix_rft.data.openr1 import Judge
from prefix_rft.data.published import Published, digest_of
from prefix_rft.errors import DataError
from prefix_rft.runs.atomic import read_json, temporary_beside, write_json
from prefix_rft.settings.data import HubData
from prefix_rft.settings.preparation import PreparationRules

Report = Mapping[str, Any]
Progress = Callable[[int], None]
"""Told how many rows of the source are done."""

_FORMAT = 1
_BATCH = 256
_TOKENIZER = (
    "tokenizer*",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "*.jinja",
)


def prepare(
    source: Published, judge: Judge, out: Path, asked: Report, limit: int | None, progress: Progress
) -> Report:
    """Write the questions of a source as JSONL, and a report beside them.

    Args:
        source: see `published`.
        judge: a fresh one.
        out: the file to write, replaced as a whole.
        asked: what makes two preparations the same.
        limit: most rows that are read.
        progress: told after every batch.

    Returns:
        The report.

    Raises:
        DataError: the source cannot be read, no row of it can be used, or the disk refuses.
    """
    temporary = temporary_beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        size, digest = _write(source, judge, temporary, limit, progress)
        report = _report(judge.judged, source, asked, size, digest)
        temporary.replace(out)
        write_json(report_path(out), report)
    except OSError as error:
        raise DataError(
            f"cannot write {out}: {error.strerror or error}. Nothing half-made is left; free some space or choose "
            "another --out"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return report


def what_is_asked(
    source: Published,
    settings: HubData,
    rules: PreparationRules,
    *,
    tokenizer: str,
    template: str,
    grader: str,
) -> Report:
    """Everything that can change the output."""
    counted = {
        "max_prompt_tokens",
        "max_response_tokens",
        "system_prompt",
        "drop_system_prompt",
        "question_suffix",
    }
    return {
        "format": _FORMAT,
        "source": source.digest,
        "data": settings.model_dump(mode="json", include=counted | {"ids", "limit"}),
        "rules": rules.model_dump(mode="json"),
        "tokenizer": {"digest": tokenizer_digest(tokenizer), "template": template},
        "grader": grader,
    }


def report_path(out: Path) -> Path:
    """The report beside a prepared file."""
    return out.with_suffix(".report.json")


def done_before(out: Path, asked: Report) -> Report | None:
    """The report of an earlier preparation that is the same, with its file untouched; None where there is no file.

    Raises:
        DataError: the file was made in another way, was changed since, or is somebody else's.
    """
    if not out.exists():
        return None
    remedy = "Choose another --out, or add --force to replace it"
    beside = report_path(out)
    if not beside.is_file():
        raise DataError(f"{out} is there already, with no report {beside.name} beside it. {remedy}")
    report: Report = read_json(beside)
    changed = different(report.get("asked", {}), asked)
    if changed:
        raise DataError(f"{out} was prepared in another way ({'; '.join(changed)}). {remedy}")
    if report["output"]["sha256"] != digest_of(out):
        raise DataError(
            f"{out} was changed after it was prepared: it is not what {beside.name} describes. {remedy}"
        )
    return report


def different(before: Report, now: Report, name: str = "") -> list[str]:
    """Entries of two nested mappings that differ, by dotted name, with both values."""
    found: list[str] = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += different(old, new, f"{name}{key}.")
        elif old != new:
            found.append(f"{name}{key}: {json.dumps(old)} then, {json.dumps(new)} now")
    return found


def tokenizer_digest(name: str) -> str:
    """SHA-256 over the tokenizer's files of a folder; a name on the hub stands for itself."""
    folder = Path(name)
    if not folder.is_dir():
        return f"hub:{name}"
    files = sorted({file for pattern in _TOKENIZER for file in folder.glob(pattern) if file.is_file()})
    lines = "\n".join(f"{file.name}\0{digest_of(file)}" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _write(
    source: Published, judge: Judge, file: Path, limit: int | None, progress: Progress
) -> tuple[int, str]:
    """Every row that can be used; bytes and SHA-256 of what was written."""
    size, state, done = 0, hashlib.sha256(), 0
    rows = islice(source.rows(), limit)
    with file.open("wb") as stream:
        while batch := list(islice(rows, _BATCH)):
            for line in judge.batch(batch):
                raw = json.dumps(line, ensure_ascii=False).encode() + b"\n"
                stream.write(raw)
                state.update(raw)
                size += len(raw)
            done += len(batch)
            progress(done)
    if judge.judged.questions == 0:
        raise DataError(_nothing(source.name, judge.judged))
    return size, state.hexdigest()


def _nothing(name: str, judged: Judged) -> str:
    if not judged.rows:
        return f"{name} has no rows. Check the path, or that the file was written to its end."
    first = next(item for item in judged.found if not item.kept)
    lost = f"row {first.row}, {first.kind}: {first.reason}"
    return f"{name} has no usable row among {judged.rows}. The first that goes: {lost}"


def _report(judged: Judged, source: Published, asked: Report, size: int, digest: str) -> Report:
    return {
        "format": _FORMAT,
        "asked": asked,
        "source": source.name,
        "rows": judged.rows,
        "questions": judged.questions,
        "demonstrations": judged.demonstrations,
        "correct": judged.correct,
        "counts": judged.counts,
        "tokens": {
            "prompt": lengths(judged.prompt_tokens),
            "demonstration": lengths(judged.demonstration_tokens),
        },
        "output": {"sha256": digest, "bytes": size},
        "found": [asdict(item) for item in judged.found],
    }


def lengths(tokens: Sequence[int]) -> dict[str, float]:
    """Mean, median, 95th percentile (nearest rank) and the longest; empty where there are none."""
    if not tokens:
        return {}
    ordered = sorted(tokens)
    return {
        "mean": statistics.fmean(ordered),
        "median": statistics.median(ordered),
        "p95": ordered[-(-95 * len(ordered) // 100) - 1],
        "longest": ordered[-1],
    }
