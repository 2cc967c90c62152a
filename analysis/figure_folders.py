"""Figures of comparisons as folders of files; those of several comparisons by processes beside this one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from analysis.results import Results
from prefix_rft.errors import RunError

KINDS = ("png", "pdf", "svg")


@dataclass(frozen=True)
class Drawn:
    """One figure on disk."""

    name: str
    """Of its files."""
    caption: str


@dataclass(frozen=True)
class Drawings:
    """The figures of several comparisons, by folder, while they are being drawn."""

    _drawing: Mapping[Path, Future[tuple[Drawn, ...]]]

    def of(self, results: Results, folder: Path) -> tuple[Drawn, ...]:
        """The figures of one comparison: those being drawn there, as soon as they are done, or drawn now."""
        if folder not in self._drawing:
            return draw(results, folder)
        try:
            return self._drawing[folder].result()
        except BrokenProcessPool as error:
            raise RunError(
                f"the process that drew into {folder} was killed, perhaps for want of memory. Write the report of "
                "one sweep at a time: prefix-rft report <sweep>"
            ) from error


NONE_BEGUN = Drawings({})


def draw(results: Results, folder: Path) -> tuple[Drawn, ...]:
    """Every figure as files of a folder; those of an earlier report that are no longer drawn go.

    Figures that were drawn there from the same data by the same code are left as they are (`analysis.figure_note`).
    matplotlib takes a second to load, which a report without figures does not need.

    Raises:
        RunError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    captions: dict[str, str] = {}
    if results.evaluations:
        from analysis.figure_note import noted, source_of, write_note

        source = source_of(results)
        known = noted(folder, source, KINDS)
        captions = _drawn_anew(results, folder) if known is None else known
        if known is None:
            write_note(folder, source, captions, KINDS)
    files = {folder / f"{name}.{kind}" for name in captions for kind in KINDS}
    for stale in {path for kind in KINDS for path in folder.glob(f"*.{kind}")} - files:
        stale.unlink()
    return tuple(Drawn(name, caption) for name, caption in captions.items())


def _drawn_anew(results: Results, folder: Path) -> dict[str, str]:
    """Captions by name."""
    from analysis.figure_files import save
    from analysis.figures import pictures

    captions = {}
    for picture in pictures(results):
        save(picture.figure, folder, picture.name)
        captions[picture.name] = picture.caption
    return captions


_waiting: dict[Path, Results] = {}
"""What the processes are started with: they inherit it, since results are large to send."""


@contextmanager
def drawings(wanted: Mapping[Path, Results]) -> Iterator[Drawings]:
    """Draw into these folders in as many processes as there are cores, while the caller goes on.

    Nothing else may be running in the caller when it begins: its threads do not come along.
    """
    workers = min(len(wanted), len(os.sched_getaffinity(0)))
    if workers < 2:
        yield NONE_BEGUN
        return
    _waiting.update(wanted)
    try:
        with ProcessPoolExecutor(workers, get_context("fork")) as pool:
            begun = {folder: pool.submit(_draw, folder) for folder in wanted}
            try:
                yield Drawings(begun)
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        _waiting.clear()


def _draw(folder: Path) -> tuple[Drawn, ...]:
    return draw(_waiting[folder], folder)
