"""A name for the machine of a measurement: processor and cores, never the host's name."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def processor() -> str:
    """Model of the processor, as the system states it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def label() -> str:
    """Processor and cores in small letters and hyphens, fit for a file name."""
    return re.sub(r"[^a-z0-9]+", "-", f"{processor()} {cores()} cores".lower()).strip("-")
