"""The machine of a measurement: processor, cores, memory, load, accelerator; never the host's name."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import subprocess
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from prefix_rft.runs.provenance import loaded_source

PACKAGES = ("torch", "transformers", "trl", "math-verify", "numpy", "pandas", "pyarrow", "hydra-core")
"""Those whose version can change a benchmark's figures."""

WRITTEN = ("benchmarks/results", "docs/benchmarks.md")
"""What benchmarks write themselves: the parts measured before are no change of the code."""

ROOT = Path(__file__).resolve().parents[1]


def processor() -> str:
    """Model of the processor, as the system states it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def memory_gb() -> float:
    """Memory of the machine in units of 10^9 bytes."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)


def peak_mb() -> float:
    """Peak of this process's resident memory in units of 10^6 bytes.

    From /proc where there is one: what `getrusage` says includes what the parent held when it started this process.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    lines = status.read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def load() -> float:
    """Processes that wanted a core over the last minute, on average."""
    return round(os.getloadavg()[0], 2)


@cache
def accelerator() -> str | None:
    """Name of the first NVIDIA device; None where the driver's tool is absent or finds none."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    names = done.stdout.split("\n") if done.returncode == 0 else []
    return names[0].strip() or None if names else None


def label() -> str:
    """Processor, cores and accelerator in small letters and hyphens, fit for a file name."""
    words = f"{processor()} {cores()} cores {accelerator() or ''}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def facts() -> dict[str, Any]:
    """What a result file says of the machine, apart from its load."""
    return {
        "processor": processor(), "cores": cores(), "memory_gb": memory_gb(), "accelerator": accelerator(),
    }  # fmt: skip


def versions() -> dict[str, str | None]:
    """Python and the packages that matter; None for one that is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


@cache
def commit() -> str:
    """The code's commit, with a mark where what could change a figure differs from it; else why there is none."""
    source = loaded_source()
    if source["commit"] is None:
        return f"none: {source['reason']}"
    return source["commit"] + (" with changes" if source["dirty"] and _code_differs(ROOT) else "")


def _code_differs(root: Path) -> bool:
    """Whether anything but what benchmarks write is changed or new since the commit."""
    command = ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=all", "--", "."]
    aside = [f":(exclude){path}" for path in WRITTEN]
    return bool(subprocess.run([*command, *aside], check=True, capture_output=True).stdout.strip())


def today() -> str:
    """The date in UTC, as it stands in a result file's name."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def now() -> str:
    """Date and time in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
