"""A benchmark's problems from a local file or from the hub, checked against what the project knows of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.benchmarks.differences import compare, repeated
from eval.benchmarks.digests import content_digest, entry, manifest
from eval.benchmarks.rows import from_file, from_hub
from eval.benchmarks.schema import Benchmark, HubSource, Problem
from prefix_rft.data import jsonl
from prefix_rft.data.rows import RowError
from prefix_rft.errors import DataError

_LISTED = 20


@dataclass(frozen=True)
class Loaded:
    """A benchmark's problems, and how far they are known to be the benchmark."""

    benchmark: Benchmark
    problems: tuple[Problem, ...]
    digest: str
    """Content hash of these problems, in the way of `Benchmark.digest`."""
    changes: tuple[str, ...] = ()
    """Differences from the benchmark that were allowed, one line each."""

    @property
    def checked(self) -> bool:
        """Whether there was a content hash to compare with."""
        return self.benchmark.digest is not None


def load(benchmark: Benchmark, folder: Path | None, *, allow_changed: bool = False) -> Loaded:
    """The problems of a benchmark, in its order and under its names, wherever they come from.

    Args:
        benchmark: which.
        folder: holds `benchmark.file`; None reads the hub's copy.
        allow_changed: accept a copy that is not the benchmark; the differences then go with every score.

    Raises:
        DataError: the file or the hub's copy cannot be had or read, or is not the benchmark: every difference is
            listed by problem.
    """
    where = _where(benchmark, folder)
    found = read(benchmark, folder)
    problems, changes = _check(benchmark, found, where)
    if changes and not allow_changed:
        raise DataError(_refusal(benchmark, where, len(found), changes))
    return Loaded(
        benchmark, problems, content_digest(entry(item, benchmark.answer) for item in problems), changes
    )


def read(benchmark: Benchmark, folder: Path | None) -> tuple[Problem, ...]:
    """The problems of a copy as they stand in it, unchecked.

    Raises:
        DataError: it cannot be had, a row of it cannot be used, or it has none.
    """
    rows = _file_rows(benchmark, folder) if folder else _hub_rows(benchmark.hub)
    where = _where(benchmark, folder)
    found = tuple(_problem(row, number, benchmark, where, local=folder is not None) for number, row in rows)
    if not found:
        raise DataError(f"{where} has no problems. Check that the file was written to its end.")
    return found


def _check(
    benchmark: Benchmark, found: tuple[Problem, ...], where: str
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """The problems as they are to be used, and how they differ from the benchmark."""
    expected = manifest(benchmark.name)
    if expected is not None:
        compared = compare(benchmark, found, expected)
        return compared.problems, compared.changes
    if twice := repeated(found):
        raise DataError(f"{where}: two problems have the name {twice[0]!r}; give each its own")
    differs = len(found) != benchmark.problems
    return found, (f"{len(found)} problems instead of {benchmark.problems}",) if differs else ()


def _problem(
    row: Mapping[str, Any] | RowError, number: int, benchmark: Benchmark, where: str, *, local: bool
) -> Problem:
    try:
        if isinstance(row, RowError):
            raise row
        return from_file(row, benchmark) if local else from_hub(row, number - 1, benchmark)
    except RowError as error:
        field = f", field {error.field!r}" if error.field else ""
        raise DataError(f"{where}, row {number}{field}: {error.reason}. Mend the row.") from None


def _file_rows(benchmark: Benchmark, folder: Path) -> Iterator[tuple[int, Mapping[str, Any] | RowError]]:
    path = folder / benchmark.file
    if folder.is_dir() and not path.is_file():
        raise DataError(
            f"{folder} has no {benchmark.file}, the file of {benchmark.title}: rows with id, problem and answer. Put "
            f"it there, or leave the folder out to read {_place(benchmark.hub)}."
        )
    return jsonl.rows(str(path))


def _hub_rows(hub: HubSource) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import datasets

    try:
        table = datasets.load_dataset(hub.repository, hub.config, revision=hub.revision, split=hub.split)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        note = f" {hub.note}" if hub.note else ""
        raise DataError(
            f"{_place(hub)} cannot be had: {reason}{note}\nWithout a network give a folder of benchmark files: "
            "benchmarks_folder=<folder>, or the environment variable PREFIX_RFT_BENCHMARKS."
        ) from error
    return enumerate(table, start=1)


def _where(benchmark: Benchmark, folder: Path | None) -> str:
    return str(folder / benchmark.file) if folder else _place(benchmark.hub)


def _place(hub: HubSource) -> str:
    config = f" ({hub.config})" if hub.config else ""
    at = f" at {hub.revision[:12]}" if hub.revision else ""
    return f"{hub.repository}{config}{at}, split {hub.split}, on the hub"


def _refusal(benchmark: Benchmark, where: str, found: int, changes: Sequence[str]) -> str:
    listed = "".join(f"\n  {change}" for change in changes[:_LISTED])
    more = f"\n  and {len(changes) - _LISTED} more" if len(changes) > _LISTED else ""
    return (
        f"{where} is not {benchmark.title} as this project knows it ({found} problems of {benchmark.problems}, "
        f"{len(changes)} differences):{listed}{more}\nUse the published content, or set allow_changed_data=true: every "
        "score then says that the data were changed."
    )
