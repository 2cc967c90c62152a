"""One run in a process of its own: `python -m experiments.worker`, with the request as JSON on standard input.

Exit code: 0 done, 1 failed, 75 interrupted (its work is saved), 76 another process holds the run.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from prefix_rft.errors import LockLostError, OutOfMemoryError, RunError, RunLockedError
from prefix_rft.runs.atomic import clear_leftovers
from prefix_rft.runs.identity import evaluations
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.markers import evaluation_stage
from prefix_rft.runs.state import STATE_FILE, StateWriter
from prefix_rft.runs.store import CONFIG_FILE, RunDir, Store
from prefix_rft.runs.tracking_labels import LABELS_FILE
from prefix_rft.runs.tracking_position import POSITION_FILE
from prefix_rft.settings import RunConfig

FAILED = 1
INTERRUPTED = 75
LOCKED = 76
LOG_FILE = "run.log"
LESS_MEMORY = "lower backend.micro_batch_tokens or launcher.workers, or take a machine with more"
_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory")
_OF_OTHERS = (CONFIG_FILE, STATE_FILE, LABELS_FILE, POSITION_FILE)
"""Files of a run that commands and the mirror may be writing without its lock."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Request:
    """What a worker is asked to do."""

    run_id: str
    parent_id: str | None
    """The run whose last checkpoint training starts from; None for a base or a given model."""
    config: RunConfig
    """What it is trained under."""
    asked: tuple[RunConfig, ...] = ()
    """Configurations whose evaluations are asked for; none stands for `config`'s."""
    launcher: int | None = None
    """Parent process that must live for the run to go on."""
    command: tuple[str, ...] = ()
    """What was typed; none stands for this process's own command line."""
    only: Literal["train", "evaluate"] | None = None
    """One part of the work, where another process does the other; None: both."""

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Request:
        """What `to_dict` gave, after a journey as JSON."""
        return _adapter().validate_python(values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that can be written as JSON."""
        values: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return values


@cache
def _adapter() -> TypeAdapter[Request]:
    """Made once: it takes longer than the request of one run, and a sweep has thousands."""
    return TypeAdapter(Request)


def log_path(run: RunDir) -> Path:
    """Where a worker's output goes."""
    return run.path / LOG_FILE


def main() -> int:
    """Entry point; returns the exit code."""
    return work_on(Request.parse(json.load(sys.stdin)))


def work_on(request: Request) -> int:
    """Do what is asked; returns the exit code of this process."""
    if request.launcher is not None:
        _stop_with(request.launcher)
    run = Store(request.config.store).open(request.run_id)
    try:
        with RunLock(run.path):
            return _work(run, request)
    except RunLockedError as error:
        print(error, file=sys.stderr)
        return LOCKED
    except RunError as error:  # neither lock nor state can be written: only the log can say so
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return FAILED


def _work(run: RunDir, request: Request) -> int:
    from prefix_rft.stop import InterruptedRunError, StopFlag

    stop = StopFlag().listen()
    state = StateWriter(run.path)
    state.attempt()
    try:
        clear_leftovers(run.path, but=_OF_OTHERS)
        _stages(run, request, state, stop)
    except InterruptedRunError as reason:
        print(f"interrupted: {reason}", file=sys.stderr)
        state.queued(reason=str(reason))
        return INTERRUPTED
    except LockLostError:
        raise  # the run's state is another process's to write
    except Exception as error:
        traceback.print_exc()
        state.failed(_of_memory(error) or error, log=LOG_FILE)
        return FAILED
    if is_evaluated(run, request.asked or (request.config,)):
        state.done()
    else:
        state.queued(reason="trained; its evaluation is another process's")
    return 0


def _of_memory(error: Exception) -> OutOfMemoryError | None:
    """What is to be done where memory was refused: PyTorch says so in a RuntimeError of many words."""
    words = str(error).lower()
    if not isinstance(error, MemoryError) and not any(sign in words for sign in _NO_MEMORY):
        return None
    first = (str(error).splitlines() or [""])[0] or type(error).__name__
    return OutOfMemoryError(
        f"memory was refused ({first}). {LESS_MEMORY}, then give the same command: it goes on"
    )


def _stages(run: RunDir, request: Request, state: StateWriter, stop: Any) -> None:
    from experiments import evaluating, stages

    stages.record_provenance(run, request.command)
    with stages.mirrored(run, request.config):
        if request.only != "evaluate":
            stages.train(run, request.config, request.parent_id, state, stop)
        for config in () if request.only == "train" else request.asked or (request.config,):
            evaluating.evaluate(run, config, state, stop)


def is_evaluated(run: RunDir, asked: Iterable[RunConfig]) -> bool:
    """Whether everything is evaluated that these configurations ask for.

    Raises:
        RunError: a marker of it is damaged.
    """
    return all(
        run.stages.is_done(evaluation_stage(name, folder))
        for config in asked
        for name, folder in evaluations(config)
    )


def _stop_with(launcher: int) -> None:
    """Ask the kernel for SIGTERM when the launcher dies: the run then saves and leaves instead of going on unseen."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != launcher:
        raise SystemExit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
