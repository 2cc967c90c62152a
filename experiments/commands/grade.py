"""`prefix-rft grade`: grade labelled responses and show where the grades and the labels differ."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from experiments.commands.bars import bars
from experiments.plain_console import PlainConsole
from prefix_rft.grading import Grader, labelled, make_grader
from prefix_rft.grading.labelled import (
    KINDS,
    Agreement,
    Disagreement,
    Labelled,
    compare,
    load_labelled,
)
from prefix_rft.runs.atomic import write_json
from prefix_rft.settings.base import parse
from prefix_rft.settings.grading import GradingSettings

RULES = labelled.RULES
MARKERS = ("####",)
"""Before the answer of GSM8K's solutions."""

_PLAIN_WIDTH = 160
_MOST_WORKERS = 8


def grade(
    files: Sequence[Path],
    *,
    extract: Sequence[str] = RULES,
    markers: Sequence[str] = MARKERS,
    verifier: str = "math_verify",
    workers: int | None = None,
    timeout_seconds: float = 5.0,
    memory_mb: int = 2048,
    json_path: Path | None = None,
    show: int = 20,
    console: Console | None = None,
) -> int:
    """Grade files of labelled responses, print their agreement with the labels, and list disagreements.

    Args:
        files: JSONL files; every row has gold, response, correct.
        extract: Extraction rules, tried in order.
        markers: What may stand before an answer, for the rule after_marker.
        verifier: math_verify or exact.
        workers: Grading processes; None takes one a core, 8 at most.
        timeout_seconds: Wall-clock limit of one verdict.
        memory_mb: Address space of one worker, MiB.
        json_path: Also write everything, with all disagreements, to this file.
        show: Most disagreements that are listed.
        console: Where to print; standard output by default.

    Returns:
        0: the files were graded, whatever the agreement.

    Raises:
        DataError: a file or a row of it is malformed; nothing is graded then.
        SettingsError: a rule or limit is refused.
    """
    settings = _settings(extract, markers, verifier, workers or _cores(), timeout_seconds, memory_mb)
    rows = {path: load_labelled(path) for path in files}
    with make_grader(settings) as grader:
        results = _grade_all(rows, grader)
        report = _Report(grader.version, results, grader.counts.as_dict())
    report.print_to(console or _console(), show)
    if json_path is not None:
        write_json(json_path, report.as_dict())
    return 0


class _Report:
    """The agreement of every file with its seconds, ready to be printed or written."""

    def __init__(
        self, version: str, results: dict[Path, tuple[Agreement, float]], counts: dict[str, int]
    ) -> None:
        self.version = version
        self.results = results
        self.counts = counts
        self.total = reduce(add, (agreement for agreement, _ in results.values()))
        self.seconds = sum(seconds for _, seconds in results.values())

    def print_to(self, console: Console, show: int) -> None:
        console.print(self._summary(console))
        console.print(Text(f"grader: {self.version}"))
        console.print(
            Text(
                f"{self.counts['cache_hits']} of {self.total.rows} grades repeated an earlier comparison; "
                f"{self.counts['worker_restarts']} workers were replaced."
            )
        )
        if self.total.disagreements:
            console.print(self._kinds(console))
        if self.total.disagreements and show:
            console.print(self._list(console, show))
        if self.total.statuses["no_answer"]:
            console.print(Text(self._hint()))

    def as_dict(self) -> dict[str, Any]:
        files = {
            str(path): _figures(agreement, seconds) for path, (agreement, seconds) in self.results.items()
        }
        return {
            "grader": self.version,
            "files": files,
            "total": _figures(self.total, self.seconds),
            "counts": self.counts,
            "disagreements": [
                {"file": str(path), **_described(item)}
                for path, (agreement, _) in self.results.items()
                for item in agreement.disagreements
            ],
        }

    def _summary(self, console: Console) -> Table:
        table = _table(console, "Agreement with the labels")
        table.add_column("file", overflow="fold")
        for name in ("rows", "agree", "false +", "false -", "no answer", "timeouts", "failed", "responses/s"):
            table.add_column(name, justify="right", no_wrap=True)
        for path, (agreement, seconds) in self.results.items():
            table.add_row(Text(path.name), *_cells(agreement, seconds))
        if len(self.results) > 1:
            table.add_row("all", *_cells(self.total, self.seconds), style="bold")
        return table

    def _kinds(self, console: Console) -> Table:
        table = _table(console, "Disagreements by kind")
        table.add_column("kind", no_wrap=True)
        table.add_column("rows", justify="right")
        table.add_column("meaning")
        counts = Counter(item.kind for item in self.total.disagreements)
        for kind, meaning in KINDS.items():
            if counts[kind]:
                table.add_row(kind, str(counts[kind]), meaning)
        return table

    def _list(self, console: Console, show: int) -> Table:
        shown = self.total.disagreements[:show]
        table = _table(console, f"Disagreements ({len(shown)} of {len(self.total.disagreements)})")
        for name in ("id", "gold", "extracted", "label", "verdict", "kind"):
            table.add_column(name, overflow="fold")
        for item in shown:
            cells = [item.row.id, item.row.gold, item.grade.extracted or "-", _word(item.row.correct)]
            verdict = f"{_word(item.grade.correct)} ({item.grade.status})"
            table.add_row(*(Text(_printable(cell)) for cell in (*cells, verdict, item.kind)))
        return table

    def _hint(self) -> str:
        missing = [
            f"{path.name}: {agreement.statuses['no_answer']}"
            for path, (agreement, _) in self.results.items()
            if agreement.statuses["no_answer"]
        ]
        return (
            f"No rule found an answer in some responses ({', '.join(missing)}); they count as wrong. "
            "Bare answers are found by the rule `whole`, plain text by `last_number` or another marker."
        )


def _cores() -> int:
    return min(_MOST_WORKERS, len(os.sched_getaffinity(0)))


def _settings(
    extract: Sequence[str],
    markers: Sequence[str],
    verifier: str,
    workers: int,
    timeout: float,
    memory_mb: int,
) -> GradingSettings:
    values = {
        "extract": tuple(extract),
        "marker": tuple(markers),
        "verifier": verifier,
        "workers": workers,
        "timeout_seconds": timeout,
        "memory_mb": memory_mb,
    }
    return parse(GradingSettings, values)


def _grade_all(rows: dict[Path, list[Labelled]], grader: Grader) -> dict[Path, tuple[Agreement, float]]:
    """Agreement and seconds of every file; starting the workers is left out of the seconds."""
    grader.start()
    with bars(Console(stderr=True)) as progress:
        return {path: _grade_file(path.name, labelled, grader, progress) for path, labelled in rows.items()}


def _grade_file(
    name: str, labelled: Sequence[Labelled], grader: Grader, progress: Progress
) -> tuple[Agreement, float]:
    task = progress.add_task(name, total=len(labelled))
    start = time.perf_counter()
    grades = grader.grade(
        [(row.gold, row.response) for row in labelled],
        lambda known: progress.update(task, completed=known),
    )
    return compare(labelled, grades), time.perf_counter() - start


def _cells(agreement: Agreement, seconds: float) -> list[str]:
    figures = _figures(agreement, seconds)
    counts = [str(figures[name]) for name in ("false_positives", "false_negatives")]
    statuses = [str(figures[name]) for name in ("no_answer", "timeouts", "failed")]
    rate = f"{figures['responses_per_second']:.0f}"
    return [str(agreement.rows), f"{agreement.share:.4f}", *counts, *statuses, rate]


def _figures(agreement: Agreement, seconds: float) -> dict[str, Any]:
    statuses = agreement.statuses
    return {
        "rows": agreement.rows,
        "agreement": agreement.share,
        "false_positives": agreement.false_positives,
        "false_negatives": agreement.false_negatives,
        "no_answer": statuses["no_answer"],
        "timeouts": statuses["timeout"],
        "failed": statuses["out_of_memory"] + statuses["crashed"] + statuses["error"],
        "responses_per_second": agreement.rows / seconds,
    }


def _described(item: Disagreement) -> dict[str, Any]:
    return {
        "id": item.row.id,
        "gold": item.row.gold,
        "extracted": item.grade.extracted,
        "label": item.row.correct,
        "verdict": item.grade.correct,
        "status": item.grade.status,
        "kind": item.kind,
    }


def _table(console: Console, title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD if console.is_terminal else None)


def _console() -> Console:
    """Standard output; wide and without lines where it is not a terminal, so that rows stay whole."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=_PLAIN_WIDTH)


def _word(correct: bool) -> str:
    return "correct" if correct else "wrong"


def _printable(text: str, limit: int = 60) -> str:
    """One line for a terminal: what cannot be printed is escaped, a long text is cut in the middle."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return shown if len(shown) <= limit else f"{shown[: limit // 2 - 1]} … {shown[2 - limit // 2 :]}"
