"""A cluster that costs nothing: sbatch, squeue, scontrol, sacct and sacctmgr as one small program.

`install` puts them into a folder for PATH. They take every array, keep its jobs in the queue for ever, and print what
SLURM prints, so that what a submission takes beyond them is our own.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

PROGRAMS = ("sbatch", "squeue", "scontrol", "sacct", "sacctmgr")
_CONFIG = "MaxArraySize = 1001\nMaxJobCount = 1000000"
"""SLURM's own limit of an array; room for every job of the largest sweep."""
_QUEUE = "queue"
_FIRST = 11


def install(folder: Path) -> Path:
    """Make the programs; the folder to put in front of PATH."""
    folder.mkdir(parents=True)
    for name in PROGRAMS:
        file = folder / name
        # Isolated and without site-packages Python starts in some milliseconds.
        words = shlex.join([sys.executable, "-I", "-S", __file__, name, str(folder)])
        file.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        file.chmod(0o755)
    return folder


def empty(folder: Path) -> None:
    """Let the queue forget all its jobs."""
    (folder / _QUEUE).unlink(missing_ok=True)


def jobs(folder: Path) -> list[str]:
    """Every job of the queue: reference|comment."""
    file = folder / _QUEUE
    return file.read_text().splitlines() if file.exists() else []


def main(name: str, folder: Path, arguments: list[str]) -> int:
    """Answer as the program of that name would."""
    match name:
        case "sbatch":
            print(_take(folder, Path(arguments[-1]).read_text()))
        case "squeue":
            return _say(folder, arguments)
        case "scontrol":
            print(_CONFIG)
        case _:
            print(f"{name}: this cluster keeps no accounts", file=sys.stderr)
            return 1
    return 0


def _take(folder: Path, script: str) -> int:
    known = jobs(folder)
    number = int(known[-1].partition("_")[0]) + 1 if known else _FIRST
    indices = [
        index for part in _option(script, "array").partition("%")[0].split(",") for index in _range(part)
    ]
    with (folder / _QUEUE).open("a") as file:
        file.writelines(f"{number}_{index}|{_option(script, 'comment')}\n" for index in indices)
    return number


def _say(folder: Path, arguments: list[str]) -> int:
    known = [line.split("|") for line in jobs(folder)]
    if "--jobs" not in arguments:
        by_array = "ArrayJobID:|,Comment:" in arguments
        lines = (f"{ref.partition('_')[0]}|{comment}" if by_array else ref for ref, comment in known)
        print("\n".join(lines))
        return 0
    asked = set(arguments[arguments.index("--jobs") + 1].split(","))
    found = [(ref, comment) for ref, comment in known if ref.partition("_")[0] in asked]
    if not found:
        print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
        return 1
    print("\n".join(f"{ref}|PENDING||Priority|0|0|0:00|{comment}" for ref, comment in found))
    return 0


def _option(script: str, name: str) -> str:
    found = re.search(rf"^#SBATCH --{name}=(.*)$", script, re.MULTILINE)
    return found.group(1) if found else ""


def _range(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
