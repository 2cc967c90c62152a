"""One stage of one run, inside a job: `python -m experiments.cluster.job REQUEST train|evaluate`.

What it prints goes into the run's own log. Exit code: the worker's (`experiments.worker`).
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import Literal

from experiments.worker import LOCKED, Request, log_path, work_on
from prefix_rft.runs.atomic import read_json
from prefix_rft.runs.markers import TRAIN
from prefix_rft.runs.store import RunDir, Store

_PATIENCE_SECONDS = 120.0
"""For a run that another process holds: on a node that SLURM gave up on, the job's former self may still live."""
_VISIBLE_SECONDS = 60.0
"""The longest that NFS keeps what it knows of a folder, unless told otherwise (`acdirmax`)."""


def main() -> int:
    """Entry point; returns the exit code."""
    path, stage = Path(sys.argv[1]), sys.argv[2]
    request = dataclasses.replace(Request.parse(read_json(path)), only=_stage(stage))
    _say_into(log_path(Store(request.config.store).open(request.run_id)))
    _await(request)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (code := work_on(request)) == LOCKED and time.monotonic() < deadline:
        time.sleep(2)
    return code


def _await(request: Request) -> None:
    """Until the training is to be seen that this stage builds on: another node finished it, perhaps seconds ago."""
    before = request.run_id if request.only == "evaluate" else request.parent_id
    if before is None:
        return
    stages = RunDir(Store(request.config.store).path(before)).stages
    deadline = time.monotonic() + _VISIBLE_SECONDS
    while not stages.is_done(TRAIN) and time.monotonic() < deadline:
        time.sleep(1)


def _stage(name: str) -> Literal["train", "evaluate"]:
    match name:
        case "train" | "evaluate":
            return name
    raise SystemExit(f"no stage {name!r}: it is train or evaluate")


def _say_into(log: Path) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


if __name__ == "__main__":
    sys.exit(main())
