"""One grading process: loads a function, answers requests on its main thread, and dies with its parent.

Started by `pool.py` as `python -m prefix_rft.grading.worker DESCRIPTOR PARENT MEMORY_MB MODULE:FUNCTION`. It
is not a child of `multiprocessing`, which would import the caller's main module, and torch with it, into
every worker.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

_PR_SET_PDEATHSIG = 1


def main(descriptor: int, parent: int, memory_mb: int, entry: str) -> None:
    """Answer requests until the parent closes the connection.

    The first message sent is `("ready", None)`, or `("failed", reason)` if the function cannot be loaded.

    Args:
        descriptor: File descriptor of this end of the connection.
        parent: Process id of the parent.
        memory_mb: Limit of the address space, MiB.
        entry: "module:function"; the function gets a request's parts as positional arguments.
    """
    _die_with(parent)
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 2**20, memory_mb * 2**20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection: Connection = Connection(descriptor)
    try:
        function = _load(entry)
    except Exception as error:
        connection.send(("failed", f"{type(error).__name__}: {error}"))
        return
    _silence()
    connection.send(("ready", None))
    _serve(connection, function)


def _serve(connection: Connection, function: Callable[..., object]) -> None:
    try:
        while True:
            connection.send(_answer(function, connection.recv()))
    except (EOFError, OSError):  # the parent closed its end, or is gone
        return


def _answer(function: Callable[..., object], request: tuple[Any, ...]) -> tuple[str, object]:
    try:
        return "ok", function(*request)
    except MemoryError:
        return "out_of_memory", None
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"


def _load(entry: str) -> Callable[..., object]:
    module, _, name = entry.partition(":")
    function: Callable[..., object] = getattr(importlib.import_module(module), name)
    return function


def _die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent ends; not on Linux, the closed connection must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def _silence() -> None:
    """Libraries may print what they like; nobody reads it, and a full pipe or disk would stop the worker."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
