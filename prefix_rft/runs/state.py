"""Where a run stands (state.json, replaced as a whole) and what happened to it (events.jsonl)."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from prefix_rft.errors import RunError
from prefix_rft.runs.atomic import read_json, write_json
from prefix_rft.runs.jsonl import append_record
from prefix_rft.runs.lock import is_locked, refuse_if_lost
from prefix_rft.visible import visible

Status = Literal["new", "queued", "running", "done", "failed", "lost"]
"""lost is never written: it is a run recorded as running that no live process holds."""

STATE_FILE = "state.json"
EVENTS_FILE = "events.jsonl"


@dataclass(frozen=True)
class RunFailure:
    """Why a run failed."""

    type: str
    """Name of the exception."""
    message: str
    log: str | None = None
    """File with the whole story, relative to the run directory."""


@dataclass(frozen=True)
class RunState:
    """Where a run stands."""

    status: Status = "new"
    stage: str | None = None
    """The stage it is in, or was in last."""
    step: int | None = None
    """Steps done in that stage."""
    total_steps: int | None = None
    """Steps of that stage, where they are known."""
    pid: int | None = None
    host: str | None = None
    started: str | None = None
    """When this attempt began; ISO 8601, UTC."""
    updated: str | None = None
    attempt: int = 0
    """How often a process has begun to work on the run."""
    error: RunFailure | None = None


def now() -> str:
    """The time, ISO 8601 in UTC to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_state(run_path: Path) -> RunState:
    """Where the run stands now, `lost` included.

    Raises:
        RunError: state.json is damaged.
    """
    state = recorded_state(run_path)
    if state.status != "running" or is_locked(run_path):
        return state
    again = recorded_state(run_path)
    return replace(again, status="lost") if again.status == "running" and not is_locked(run_path) else again


def recorded_state(run_path: Path) -> RunState:
    """What state.json says, whether or not its process still lives; a run without the file is new."""
    path = run_path / STATE_FILE
    if not path.exists():
        return RunState()
    fields = read_json(path)
    try:
        failure = fields.pop("error")
        state = RunState(**fields, error=RunFailure(**failure) if failure else None)
    except (TypeError, AttributeError, KeyError) as error:
        raise _damaged(path, str(error)) from error
    if state.status not in get_args(Status):
        raise _damaged(path, f"there is no status {state.status!r}")
    wrong = _wrongly_typed(state)
    if wrong:
        raise _damaged(path, f"{wrong}={getattr(state, wrong)!r:.60}")
    return state


def _wrongly_typed(state: RunState) -> str | None:
    """The first field whose value is of another type than the writer's."""
    failure = state.error
    kinds: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(("stage", "host", "started", "updated"), (str, type(None))),
        **dict.fromkeys(("step", "total_steps", "pid"), (int, type(None))),
        "attempt": (int,),
    }
    wrong = [name for name, kind in kinds.items() if type(getattr(state, name)) not in kind]
    told = [] if failure is None else [failure.type, failure.message, failure.log or ""]
    return next(iter(wrong), None) or (None if all(isinstance(text, str) for text in told) else "error")


def _damaged(path: Path, reason: str) -> RunError:
    return RunError(
        f"{path} is not a run's state: {reason}. Delete this file: the run then counts as new and goes on "
        "from its last checkpoint."
    )


def append_event(run_path: Path, event: str, **details: Any) -> None:
    """Add one line to the run's history."""
    append_record(run_path / EVENTS_FILE, {"time": now(), "event": event, **details})


class StateWriter:
    """Records a run's way through its states; for the process that holds the run's lock, or queues the run.

    Every change is an event too, except progress within a stage.
    """

    def __init__(self, run_path: Path, *, progress_seconds: float = 0.5) -> None:
        self.run_path = run_path
        self._progress_seconds = progress_seconds
        self._next_progress = 0.0

    def queued(self, stage: str | None = None, **details: Any) -> None:
        """The run waits for a process: it was submitted, or it was interrupted and wants to go on."""
        state = recorded_state(self.run_path)
        changed = replace(state, status="queued", stage=stage or state.stage, pid=None, host=None, error=None)
        self._change(changed, "queued", stage=changed.stage, **details)

    def attempt(self) -> None:
        """A process begins to work on the run: counts it and names it."""
        state = recorded_state(self.run_path)
        changed = RunState(
            status="running",
            stage=state.stage,
            pid=os.getpid(),
            host=socket.gethostname(),
            started=now(),
            attempt=state.attempt + 1,
        )
        self._change(changed, "attempt", attempt=changed.attempt, pid=changed.pid, host=changed.host)

    def running(self, stage: str, *, step: int = 0, total_steps: int | None = None) -> None:
        """A stage begins, or goes on after `step` steps."""
        state = replace(recorded_state(self.run_path), status="running", stage=stage, step=step)
        self._change(
            replace(state, total_steps=total_steps), "stage", stage=stage, step=step, total_steps=total_steps
        )

    def progress(self, step: int, total_steps: int | None = None) -> None:
        """The stage has done `step` steps; written at most every `progress_seconds`, and at the last step.

        Raises:
            LockLostError: another process has taken the run over, or may have.
        """
        refuse_if_lost(self.run_path)
        if time.monotonic() < self._next_progress and step != total_steps:
            return
        self._next_progress = time.monotonic() + self._progress_seconds
        state = recorded_state(self.run_path)
        self._write(replace(state, step=step, total_steps=total_steps or state.total_steps), durable=False)

    def done(self) -> None:
        """Every stage asked for is done."""
        self._change(replace(recorded_state(self.run_path), status="done", error=None), "done")

    def failed(self, error: BaseException, log: str | None = None) -> None:
        """The run stopped at an error; `log` is relative to the run directory."""
        failure = RunFailure(type(error).__name__, visible(str(error)), log)
        state = replace(recorded_state(self.run_path), status="failed", error=failure)
        self._change(state, "failed", stage=state.stage, step=state.step, **asdict(failure))

    def _change(self, state: RunState, event: str, **details: Any) -> None:
        refuse_if_lost(self.run_path)
        append_event(self.run_path, event, **details)
        self._write(state, durable=True)

    def _write(self, state: RunState, *, durable: bool) -> None:
        write_json(self.run_path / STATE_FILE, asdict(replace(state, updated=now())), durable=durable)
