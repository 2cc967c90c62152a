"""A function called in a fresh process of its own, with its own number of threads."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_THREADS = "OMP_NUM_THREADS"
"""Read by the math libraries when they are first imported."""


class ProcessDiedError(Exception):
    """The process ended without a result: killed, as a rule for want of memory."""


def in_process(function: Callable[..., _Result], *arguments: Any, threads: int) -> _Result:
    """The function's result; what it raises is raised here.

    Args:
        function: found by its module and name in the new process.
        arguments: of the function.
        threads: of PyTorch and of the math libraries.

    Raises:
        ProcessDiedError: the process died.
    """
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = str(threads)
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(_call, threads, function, arguments).result()
    except BrokenProcessPool:
        raise ProcessDiedError(
            f"{function.__module__}.{function.__qualname__}: its process was killed, as a rule for want of memory; "
            "ask for less"
        ) from None
    finally:
        os.environ.pop(_THREADS)
        os.environ |= {_THREADS: before} if before is not None else {}


def _call(threads: int, function: Callable[..., _Result], arguments: tuple[Any, ...]) -> _Result:
    import torch

    torch.set_num_threads(threads)
    return function(*arguments)
