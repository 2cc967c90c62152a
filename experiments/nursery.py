"""Forks every run of a command from one process that has imported PyTorch: `python -m experiments.nursery`.

Importing takes seconds of a core, which is a sixth of a short run; forked runs share it, and the memory it takes. One
JSON list a line on standard input: `["start", number, log, request]` or `["signal", number, signal]`. One on standard
output for each that ended: `[number, exit code]`, negative for a signal. The end of the input ends the process, and
with it, by SIGTERM, what it forked.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import select
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.worker import FAILED, Request, work_on

_REAP_SECONDS = 0.05
_CHUNK = 1 << 16


def main() -> int:
    """Entry point; returns the exit code, in a forked run that of the run."""
    _load()
    children: dict[int, int] = {}
    for message in _messages(children):
        match message:
            case ["start", number, log, request]:
                pid = _fork(number, Path(log))
                if pid == 0:
                    return _run(request, Path(log))
                if pid is not None:
                    children[pid] = number
            case ["signal", number, what]:
                for pid in [pid for pid, known in children.items() if known == number]:
                    os.kill(pid, what)  # not reaped yet, so the pid is still its own
    return 0


def _load() -> None:
    from experiments import evaluating, stages
    from prefix_rft.runs import provenance

    assert stages
    assert evaluating
    provenance.loaded_source()
    gc.freeze()  # what is loaded here is garbage in no run; the collector would only copy its pages


def _messages(children: dict[int, int]) -> Iterator[list[Any]]:
    """What the launcher says, line by line; in the meantime its children are reaped."""
    rest = b""
    while True:
        if select.select([0], [], [], _REAP_SECONDS)[0]:
            chunk = os.read(0, _CHUNK)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from map(json.loads, lines)
        _reap(children)


def _reap(children: dict[int, int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        if pid in children:
            _tell(children.pop(pid), os.waitstatus_to_exitcode(status))


def _tell(number: int, code: int) -> None:
    os.write(1, json.dumps([number, code]).encode() + b"\n")


def _fork(number: int, log: Path) -> int | None:
    """Fork; None where the machine has no room for another process, which fails that run alone."""
    try:
        return os.fork()
    except OSError:
        with log.open("a") as file:
            traceback.print_exc(file=file)
        _tell(number, FAILED)
        return None


def _run(request: dict[str, Any], log: Path) -> int:
    """Become the run: a session of its own, nothing to read, what is said goes into the log."""
    nursery = os.getppid()
    os.setsid()
    with open(os.devnull, "rb") as nothing, log.open("ab") as file:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return work_on(dataclasses.replace(Request.parse(request), launcher=nursery))


if __name__ == "__main__":
    sys.exit(main())
