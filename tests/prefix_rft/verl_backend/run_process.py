"""A run on verl in a process of its own: `python run_process.py SETTINGS START [STOP_AFTER]`.

SETTINGS is a file with the configuration as JSON, START the folder of the starting model. With STOP_AFTER the process
sends itself SIGTERM once that many rollout steps are done. Exit code 75: interrupted.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.store import Store
from prefix_rft.settings import RunConfig, parse
from prefix_rft.stop import EXIT_INTERRUPTED, InterruptedRunError, StopFlag
from prefix_rft.verl_backend.launch import train


def main(settings: Path, start: Path, stop_after: int | None) -> int:
    config = parse(RunConfig, json.loads(settings.read_text(encoding="utf-8")))
    run = Store(config.store).create(train_identity(config), config)

    def progress(step: int, total: int) -> None:
        if step == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        with RunLock(run.path):
            train(config, run, start, stop=StopFlag().listen(), progress=progress)
    except InterruptedRunError:
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else None))
