"""What a benchmark finds, and the one file of a day and a machine that keeps it.

    {"date", "machine", "versions", "commit", "benchmarks": {NAME: {"asked", "load", "seconds", "rows", "ratios", ...}}}

A run of some benchmarks replaces their parts of the day's file and leaves the others alone.
"""

from __future__ import annotations

import fcntl
import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks import machine
from prefix_rft.errors import RunError
from prefix_rft.runs.atomic import read_json, write_json

RESULTS = Path(__file__).parent / "results"
Better = Literal["higher", "lower"]


class CannotRunError(Exception):
    """A benchmark cannot run on this machine: what is absent, and the next step."""


@dataclass(frozen=True)
class Ratio:
    """Ours against a peer, or ours against a stated figure, from repetitions in one run."""

    what: str
    """Of which figure, and which way round: "TRL's seconds over ours, all rows"."""
    against: str
    """The peer, or what a figure without a peer is held against."""
    setting: dict[str, Any]
    """Where it was taken: questions, threads, ..."""
    median: float
    low: float
    """Smallest of the repetitions."""
    high: float
    """Largest of the repetitions."""
    repetitions: int
    target: float | None = None
    better: Better = "higher"

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None where there is none."""
        if self.target is None:
            return None
        return self.median >= self.target if self.better == "higher" else self.median <= self.target

    @classmethod
    def of(
        cls, what: str, against: str, setting: dict[str, Any], values: Sequence[float],
        target: float | None = None, better: Better = "higher",
    ) -> Ratio:  # fmt: skip
        """From the ratio of each repetition; the median is of these, not a ratio of medians.

        Raises:
            ValueError: there is no repetition.
        """
        if not values:
            raise ValueError(f"{what}: no repetition was measured, so there is no ratio")
        middle = statistics.median(values)
        return cls(what, against, setting, middle, min(values), max(values), len(values), target, better)


@dataclass(frozen=True)
class Measured:
    """All that one benchmark found."""

    rows: list[dict[str, Any]]
    """Plain JSON values."""
    ratios: list[Ratio] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader of the figures must know: a peer that is absent and the next step, what was left out."""


def part(name: str, measured: Measured, asked: dict[str, Any], load: float, seconds: float) -> dict[str, Any]:
    """One benchmark's part of a result file; the commit is its own, since a day's parts can differ in it."""
    return {
        "asked": {key: plain(value) for key, value in asked.items()},
        "load": load,
        "seconds": seconds,
        "time": machine.now(),
        "commit": machine.commit(),
        "rows": measured.rows,
        "ratios": [asdict(ratio) | {"met": ratio.met} for ratio in measured.ratios],
        "notes": measured.notes,
    }


def plain(value: Any) -> Any:
    """A setting as JSON; of a path only its name, as folders are a machine's own business."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def keep(parts: dict[str, dict[str, Any]], folder: Path = RESULTS) -> Path:
    """Write these benchmarks' parts into the day's file of this machine, and leave its others as they are.

    The machine's load is that at the start of the first of them.

    Raises:
        RunError: the file there is damaged or of another form, or the disk refuses; it is still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{machine.today()}-{machine.label()}.json"
    with _alone(folder):
        before = _parts(path) if path.exists() else {}
        found = {
            "date": machine.today(),
            "machine": machine.facts() | {"load": next(iter(parts.values()))["load"]},
            "versions": machine.versions(),
            "commit": machine.commit(),
            "benchmarks": before | parts,
        }
        write_json(path, found)
    return path


def results(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """All files of results, the oldest first; those from before a day had one file hold other figures, and stay unread.

    Raises:
        RunError: a file is damaged.
    """
    found = [read_json(path) | {"file": path.name} for path in sorted(folder.glob("*.json"))]
    return [file for file in found if "benchmarks" in file]


def _parts(path: Path) -> dict[str, dict[str, Any]]:
    file = read_json(path)
    if "benchmarks" not in file:
        raise RunError(f"{path.name} is of an earlier form; move it away, and what was measured can be kept")
    found: dict[str, dict[str, Any]] = file["benchmarks"]
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two benchmarks that end at the same time write one after the other."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
