"""`prefix-rft logs --follow`: what a run and its jobs say, as they say it, until the run is over."""

from __future__ import annotations

import codecs
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from experiments.cluster.launch import book
from experiments.cluster.requests import STAGES, Requests
from experiments.cluster.standings import Finished
from experiments.worker import log_path
from prefix_rft.errors import RunError
from prefix_rft.runs.store import RunDir, Store
from slurm.commands import Slurm
from slurm.standing import standings

_ASK_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_ENDED = ("done", "failed", "lost")


class Tail:
    """What is added to a file, its last lines first; a file that was replaced is read from its beginning."""

    def __init__(self, path: Path, lines: int) -> None:
        self.path = path
        self._inode, self._offset = _where_last_lines_begin(path, lines)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> str:
        """The text that was added; nothing of a file that is not there yet."""
        try:
            with self.path.open("rb") as file:
                self._start_again_if_replaced(file.fileno())
                file.seek(self._offset)
                added = file.read()
        except FileNotFoundError:
            return ""
        self._offset += len(added)
        return self._decoder.decode(added)

    def _start_again_if_replaced(self, descriptor: int) -> None:
        state = os.fstat(descriptor)
        if state.st_ino != self._inode or state.st_size < self._offset:
            self._inode, self._offset = state.st_ino, 0


def files(store: Store, run: RunDir) -> list[Path]:
    """The run's own log, and its jobs' logs."""
    places = book(store).places()
    jobs = [book(store).log(places[run.id, stage]) for stage in STAGES if (run.id, stage) in places]
    return [log_path(run), *jobs]


def follow(store: Store, given: str, lines: int, say: Callable[[str], None], slurm: Slurm) -> int:
    """Pass on what is said until the run is over; 1 where it ended otherwise than well.

    Stopping this (Ctrl-C) stops nothing else.

    Args:
        store: where the run is.
        given: its id, or the beginning.
        lines: that are shown of what each file holds already.
        say: gets the text, headings included, as it is to be printed.
        slurm: the cluster.

    Raises:
        RunError: no job of it was ever submitted, because the queue had no room.
    """
    run = store.find(given)
    _refuse_unsubmitted(store, run)
    voices = _Voices(say, lines)
    try:
        while (end := _end(store, run, slurm)) is None:
            _pass_on(store, run, voices)
    except KeyboardInterrupt:
        say(
            f"\nno longer followed; nothing else was stopped: prefix-rft status, prefix-rft cancel {run.id}\n"
        )
        return 0
    voices.look(files(store, run))
    word, cause = end
    say(f"run {run.id} is {word}{': ' if cause else ''}{cause}\n")
    return int(word != "done")


class _Voices:
    """Several files, each under its name where another one spoke before."""

    def __init__(self, say: Callable[[str], None], lines: int) -> None:
        self._say, self._lines = say, lines
        self._tails: dict[Path, Tail] = {}
        self._last: Path | None = None

    def look(self, paths: list[Path]) -> None:
        """Pass on what is new in them."""
        for path in paths:
            text = self._tails.setdefault(path, Tail(path, self._lines)).read()
            if text and path != self._last:
                self._say(f"==> {path} <==\n")
                self._last = path
            if text:
                self._say(text)


def _pass_on(store: Store, run: RunDir, voices: _Voices) -> None:
    """SLURM is asked every few seconds; the files are looked at more often."""
    until = time.monotonic() + _ASK_SECONDS
    paths = files(store, run)
    while time.monotonic() < until:
        voices.look(paths)
        time.sleep(_LOOK_SECONDS)


def _end(store: Store, run: RunDir, slurm: Slurm) -> tuple[str, str] | None:
    """How the run ended, and why; None while something may still happen."""
    found = standings(slurm, book(store), Finished(store))
    stages = [found[run.id, stage] for stage in STAGES if (run.id, stage) in found]
    state = run.state()
    error = f"{state.error.type}: {state.error.message.strip()}" if state.error else ""
    if not stages:
        return (state.status, error) if state.status in _ENDED else None
    if not all(standing.over for standing in stages):
        return None
    first = next((standing for standing in stages if standing.word != "done"), stages[-1])
    return first.word, error if first.word == "failed" and error else first.cause


def _refuse_unsubmitted(store: Store, run: RunDir) -> None:
    asked = Requests(store).path(run.id).exists()
    if asked and not any((run.id, stage) in book(store).places() for stage in STAGES):
        raise RunError(f"run {run.id} found no room in the queue yet: `prefix-rft resume` submits it")


def _where_last_lines_begin(path: Path, lines: int) -> tuple[int, int]:
    """Inode of the file and the offset; zeros where there is no file."""
    try:
        with path.open("rb") as file:
            last = deque((len(line) for line in file), lines)
            return path.stat().st_ino, file.tell() - sum(last)
    except FileNotFoundError:
        return 0, 0
