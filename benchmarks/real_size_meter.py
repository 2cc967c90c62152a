"""Seconds and peak memory between two moments: resident memory on a CPU, allocated memory on a GPU."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESET = Path("/proc/self/clear_refs")
"""Writing 5 to it starts the peak of resident memory anew at what is resident now (Linux)."""
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Lap:
    """Between two moments."""

    seconds: float
    cpu: float
    """Processor seconds of all threads."""
    peak_mb: float


class Meter:
    """Laps of one device."""

    def __init__(self, device: str) -> None:
        """The first lap begins."""
        self._device = device
        self._begin()

    def lap(self) -> Lap:
        """What there was since the last lap's end; the next one begins."""
        self._wait()
        seconds, cpu = self._began
        found = Lap(time.perf_counter() - seconds, time.process_time() - cpu, self._peak_mb())
        self._begin()
        return found

    def _begin(self) -> None:
        if self._device == "cpu":
            RESET.write_text("5")
        else:
            _cuda().reset_peak_memory_stats(self._device)
        self._wait()
        self._began = time.perf_counter(), time.process_time()

    def _wait(self) -> None:
        if self._device != "cpu":
            _cuda().synchronize(self._device)

    def _peak_mb(self) -> float:
        if self._device != "cpu":
            return float(_cuda().max_memory_allocated(self._device)) / 1e6
        lines = _STATUS.read_text().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def _cuda() -> Any:
    import torch

    return torch.cuda


def ceiling(device: str, dtype: str, seconds: float = 1.0) -> float:
    """Operations a second of one large matrix product after another, the fastest of them.

    Args:
        device: where.
        dtype: of the matrices.
        seconds: how long to go on.
    """
    import torch

    size = 1024 if device == "cpu" else 8192
    left = torch.randn(size, size, device=device).to(getattr(torch, dtype))
    meter, fastest, spent = Meter(device), float("inf"), 0.0
    _ = left @ left
    meter.lap()
    while spent < seconds:
        _ = left @ left
        took = meter.lap().seconds
        fastest, spent = min(fastest, took), spent + took
    return 2 * size**3 / fastest
