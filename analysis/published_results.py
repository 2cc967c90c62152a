"""Published scores as they were published: 1,013 rows of method, model, benchmark, score, metric, source, note.

The rows are facts collected from papers and repositories (analysis/published_results.md says how, and where they
contradict themselves). They are carried as found, contradictions too.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("published_results.csv")

SIX = ("AIME24", "AIME25", "AMC", "MATH-500", "Minerva", "Olympiad")
"""The mathematics benchmarks of the paper's tables."""
AVERAGES = {
    "Avg6": SIX,
    "AvgOOD": ("ARC-c", "GPQA-diamond", "MMLU-Pro"),
    "Avg5": ("AIME24", "AMC", "MATH-500", "Minerva", "Olympiad"),
    "Avg5+MMLU-Pro": ("AIME24", "AIME25", "AMC", "MATH-500", "Olympiad", "MMLU-Pro"),
    "Avg7": ("AIME24", "AMC23(40)", "MATH-500", "Minerva", "Olympiad", "GSM8K"),
}
"""What the published averages are over. Avg7 (simpleRL-reason's) has six parts, pass@1 of AIME24 among them."""
_ROUNDED = 0.05 + 1e-9
"""An average shown to one decimal lies within this of what it is."""


@dataclass(frozen=True)
class PublishedResult:
    """One published number."""

    method: str
    """What the source calls the method or the model it made."""
    model: str
    """The base model."""
    benchmark: str
    """Benchmark, or which average (`AVERAGES`)."""
    text: str
    """The score as published, in percent unless the metric says tokens."""
    metric: str
    """avg@32, pass@1, mean of 6, ..."""
    source: str
    """Paper and table, or repository, commit and file."""
    note: str
    """What else is known of the number; often empty."""

    @property
    def score(self) -> float | None:
        """The number; None where the source gives only words, like `<45`."""
        try:
            return float(self.text)
        except ValueError:
            return None


@dataclass(frozen=True)
class Contradiction:
    """An average that is not the mean of the numbers published beside it."""

    result: PublishedResult
    mean: float
    """Of its parts."""


@cache
def published_results() -> tuple[PublishedResult, ...]:
    """Every row, in the file's order."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return tuple(
            PublishedResult(
                row["method"], row["model"], row["benchmark"], row["score"], row["metric"], row["source"],
                row["note"],
            )
            for row in csv.DictReader(file)
        )  # fmt: skip


def search(
    model: str = "", method: str = "", benchmarks: Iterable[str] = (), source: str = ""
) -> list[PublishedResult]:
    """Rows whose names contain these words; letters' case and punctuation do not count.

    Args:
        model: part of the base model's name, e.g. `qwen2.5-math-7b`; Llama-3.1-8B has two spellings.
        method: part of the method's name.
        benchmarks: names of benchmarks, whole; none means all.
        source: part of the source.
    """
    wanted = {plain(name) for name in benchmarks}
    return [
        row
        for row in published_results()
        if all(
            plain(part) in plain(whole)
            for part, whole in ((model, row.model), (method, row.method), (source, row.source))
        )
        and (not wanted or plain(row.benchmark) in wanted)
    ]


def models() -> tuple[str, ...]:
    """Base models of the rows, the most frequent first."""
    names = [row.model for row in published_results()]
    return tuple(sorted(dict.fromkeys(names), key=lambda name: -names.count(name)))


def contradictions(rows: Sequence[PublishedResult] | None = None) -> list[Contradiction]:
    """Averages that differ from the mean of their parts by more than rounding, where all parts were published."""
    given = published_results() if rows is None else rows
    pairs = [(row, _mean(row, group)) for group in _tables(given).values() for row in group]
    return [
        Contradiction(row, mean)
        for row, mean in pairs
        if row.score is not None and mean is not None and abs(row.score - mean) > _ROUNDED
    ]


def plain(name: str) -> str:
    """A name without case and punctuation: `MATH-500` and `math500` are one."""
    return re.sub(r"[^a-z0-9+>]", "", name.lower())


def _tables(rows: Iterable[PublishedResult]) -> dict[tuple[str, str, str], list[PublishedResult]]:
    """The rows of one method, model and source."""
    tables: dict[tuple[str, str, str], list[PublishedResult]] = {}
    for row in rows:
        tables.setdefault((row.source, row.model, row.method), []).append(row)
    return tables


def _mean(average: PublishedResult, group: Sequence[PublishedResult]) -> float | None:
    """Of an average's parts; None for other rows, and where a part was not published."""
    parts = [_part(group, name) for name in AVERAGES.get(average.benchmark, ())]
    numbers = [part for part in parts if part is not None]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(parts) else None


def _part(group: Sequence[PublishedResult], benchmark: str) -> float | None:
    """A benchmark's number; its pass@1 where it was measured twice, since that is what averages take."""
    found = [row for row in group if row.benchmark == benchmark]
    once = [row for row in found if row.metric == "pass@1"]
    return next((row.score for row in (once or found)), None)
