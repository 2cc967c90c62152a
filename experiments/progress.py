"""Live progress of the runs of a command: a table on a terminal, elsewhere a line whenever something happens."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from experiments.names import kind_of, names
from experiments.pace import Forecast, clock
from experiments.plain_console import PlainConsole
from experiments.plan import Plan, Task
from experiments.screen import Line, screen, sentence, tally
from experiments.watch import View, Watch
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.store import RunDir

_REFRESH_SECONDS = 0.5
_HEARTBEAT_SECONDS = 60.0
"""Between two lines about each running run, where there is no terminal."""
_WIDEST = 60
"""Columns kept for names in a log: one long name among hundreds moves no other line."""


@dataclass(frozen=True)
class Standing:
    """Which runs are where, by id."""

    done: Collection[str]
    live: Collection[str]
    failures: Mapping[str, str]
    stopping: bool = False


class Display:
    """Shows a plan being executed, on standard error."""

    def __init__(
        self, plan: Plan, runs: Mapping[str, RunDir], slots: int, console: Console | None = None
    ) -> None:
        """`runs` are the directories by id, those that could be opened; `slots` how many are worked on at a time."""
        self._plan, self._runs, self._names = plan, runs, names(plan.tasks)
        self._console = console or PlainConsole(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._watches = {run_id: Watch(run) for run_id, run in runs.items()}
        self._results: dict[str, View] = {}
        self._forecast = Forecast(slots)
        self._words: dict[str, str] = {}
        self._before: int | None = None
        """How many were done when this began."""
        self._started = self._heartbeat = time.monotonic()
        self._next = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def refresh(self, standing: Standing) -> None:
        """Show where the runs stand, at most twice a second."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _REFRESH_SECONDS
        self._note(standing, now)
        if self._console.is_terminal:
            self._draw(standing, now)
        elif now > self._heartbeat + _HEARTBEAT_SECONDS:
            self._heartbeat = now
            self._sign_of_life(standing, now)

    def close(self, standing: Standing) -> None:
        """Say how it all ended."""
        now = time.monotonic()
        self._note(standing, now)
        idle = self._before == len(self._plan.tasks)
        self._say(self._head(standing) + ("" if idle else f"; {clock(now - self._started)}"))

    def _note(self, standing: Standing, now: float) -> None:
        """Tell what changed since the last look."""
        if self._before is None:
            self._before = len(standing.done)
            self._words = dict.fromkeys(standing.done, "done")
        for task in self._plan.tasks:
            word, before = self._word(task.id, standing), self._words.get(task.id, "waiting")
            self._words[task.id] = word
            if word != before:
                self._tell(task, word, standing, now)

    def _tell(self, task: Task, word: str, standing: Standing, now: float) -> None:
        seconds = self._forecast.elapsed(task.id, now)
        if word == "running":
            self._forecast.began(task.id, now)
        elif word == "done":
            self._forecast.ended(task.id, _pace_of(task), now)
        if word == "failed":
            self._line(task.id, f"failed: {standing.failures[task.id]}")
        elif not self._console.is_terminal:
            self._line(task.id, f"done ({clock(seconds)})" if word == "done" and seconds else word)

    def _sign_of_life(self, standing: Standing, now: float) -> None:
        """How far all of it is, and each run at work."""
        views = {run_id: self._watches[run_id].look(now) for run_id in standing.live}
        to_go = self._to_go(views, now)
        self._say(self._head(standing) + ("" if to_go is None else f"; about {clock(to_go)} to go"))
        for run_id, view in views.items():
            self._line(run_id, sentence(view) or "starting")

    def _line(self, run_id: str, what: str) -> None:
        width = min(_WIDEST, max(map(len, self._names.values())))
        self._say(f"{run_id}  {self._names[run_id]:<{width}}  {what}")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _word(self, run_id: str, standing: Standing) -> str:
        if run_id in standing.done:
            return "done"
        if run_id in standing.failures:
            return "failed"
        if run_id in standing.live:
            return "running"
        return "elsewhere" if is_locked(self._runs[run_id].path) else "waiting"

    def _head(self, standing: Standing) -> str:
        cells, runs = len(self._plan.cells), len(self._plan.tasks)
        before = f" ({self._before} before)" if self._before else ""
        stopping = "; stopping, the runs save their work" if standing.stopping and standing.live else ""
        counts = f"{tally(self._words.values())}{before}{stopping}"
        return f"{_many(cells, 'cell')}, {_many(runs, 'run')}: {counts}"

    def _draw(self, standing: Standing, now: float) -> None:
        views = {run_id: self._watches[run_id].look(now) for run_id in standing.live}
        lines = [
            Line(
                task.id,
                self._names[task.id],
                self._words[task.id],
                views.get(task.id) or self._result(task.id),
            )
            for task in self._plan.tasks
        ]
        shown = screen(
            self._head(standing),
            lines,
            now - self._started,
            self._to_go(views, now),
            width=self._console.width,
            height=self._console.height,
        )
        self._live.update(shown, refresh=True)

    def _result(self, run_id: str) -> View:
        """The last numbers of a run that is done, read once; nothing of one that waits or failed."""
        if self._words[run_id] != "done":
            return View()
        if run_id not in self._results:
            seen = self._watches[run_id].look(0.0)
            self._results[run_id] = View(reward=seen.reward, accuracy=seen.accuracy)
        return self._results[run_id]

    def _to_go(self, views: Mapping[str, View], now: float) -> float | None:
        sorts = {task.id: _pace_of(task) for task in self._plan.tasks}
        running = {run_id: (sorts[run_id], view.to_go) for run_id, view in views.items()}
        waiting = [sorts[run_id] for run_id, word in self._words.items() if word in ("waiting", "elsewhere")]
        return self._forecast.to_go(waiting, running, now)


def _pace_of(task: Task) -> str:
    """Runs of one kind take about the same time."""
    return " ".join(kind_of(task))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
