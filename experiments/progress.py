"""Live progress of the runs of a sweep: counts, and for each run its step, reward and time to go."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from experiments.plan import Plan
from prefix_rft.runs.identity import PlannedRun
from prefix_rft.runs.jsonl import Record
from prefix_rft.runs.state import RunState
from prefix_rft.runs.store import RunDir

_REFRESH_SECONDS = 0.5


@dataclass(frozen=True)
class Standing:
    """Which runs are where."""

    done: frozenset[str]
    live: frozenset[str]
    failures: Mapping[str, str]


@dataclass
class _Pace:
    """Steps seen so far in the current stage, for the time to go."""

    stage: str | None = None
    first_step: int = 0
    since: float = field(default_factory=time.monotonic)


class Display:
    """A live table on a terminal; elsewhere one line whenever a run begins, ends or fails."""

    def __init__(self, plan: Plan, runs: Mapping[str, RunDir], console: Console | None = None) -> None:
        self._plan, self._runs = plan, runs
        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._told: dict[str, str] = {}
        self._paces: dict[str, _Pace] = {}
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

    def refresh(self, standing: Standing, *, final: bool = False) -> None:
        """Show where the runs stand, at most every half second."""
        if time.monotonic() < self._next and not final:
            return
        self._next = time.monotonic() + _REFRESH_SECONDS
        if self._console.is_terminal:
            self._live.update(self._table(standing), refresh=True)
        for planned in self._plan.runs:
            self._tell(planned, _word(planned.identity.id, standing))
        if final:
            self._console.print(_headline(self._plan, standing), highlight=False)

    def _tell(self, planned: PlannedRun, word: str) -> None:
        run_id = planned.identity.id
        if self._told.get(run_id, "waiting") == word:
            return
        self._told[run_id] = word
        if not self._console.is_terminal or word == "failed":
            self._console.print(f"{run_id} {name(planned):<24} {word}", highlight=False)

    def _table(self, standing: Standing) -> Table:
        table = Table(title=_headline(self._plan, standing), title_justify="left", box=None, pad_edge=False)
        for column in ("run", "what", "state", "step", "reward", "accuracy", "to go"):
            table.add_column(column, justify="left" if column in ("run", "what", "state") else "right")
        for planned in self._plan.runs:
            table.add_row(*self._row(planned, _word(planned.identity.id, standing)))
        return table

    def _row(self, planned: PlannedRun, word: str) -> list[str]:
        run_id = planned.identity.id
        if word != "running":
            return [run_id, name(planned), word, "", "", "", ""]
        run = self._runs[run_id]
        state = run.state()
        steps = f"{state.step}/{state.total_steps}" if state.total_steps else ""
        rows = run.metrics()
        last, seen = _last(rows, "reward"), _last(rows, "validation/accuracy")
        return [run_id, name(planned), state.stage or word, steps, last, seen, self._to_go(run_id, state)]

    def _to_go(self, run_id: str, state: RunState) -> str:
        pace = self._paces.setdefault(run_id, _Pace())
        if state.step is None or not state.total_steps:
            return ""
        if pace.stage != state.stage:
            self._paces[run_id] = _Pace(state.stage, state.step)
            return ""
        done = state.step - pace.first_step
        seconds = (time.monotonic() - pace.since) / done * (state.total_steps - state.step) if done > 0 else 0
        return f"{seconds:.0f} s" if done > 0 else ""


def name(planned: PlannedRun) -> str:
    """What a run is, in a few words."""
    if planned.identity.kind == "base":
        return f"base model ({planned.config.model.kind})"
    return f"{planned.config.method.name} seed {planned.config.seed}"


def _word(run_id: str, standing: Standing) -> str:
    if run_id in standing.done:
        return "done"
    if run_id in standing.failures:
        return "failed"
    return "running" if run_id in standing.live else "waiting"


def _headline(plan: Plan, standing: Standing) -> str:
    total, done, failed = len(plan.runs), len(standing.done), len(standing.failures)
    live = len(standing.live)
    waiting = total - done - failed - live
    counts = f"{done} done, {live} running, {waiting} waiting, {failed} failed"
    return f"{len(plan.cells)} cells, {total} runs: {counts}"


def _last(rows: list[Record], key: str) -> str:
    value = next((row[key] for row in reversed(rows) if key in row), None)
    return "" if value is None else f"{value:.3f}"
