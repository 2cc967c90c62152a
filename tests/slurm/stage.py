"""A stage that trains nothing: counts to `steps`, saves at every step, and misbehaves as `behave.json` says.

Started as `python stage.py <cell folder> <stage>`. Leaves `<stage>.done` as its result, `<stage>.step` as its
checkpoint, and one line in `<stage>.begun` for every time it was started, so that a test sees what ran twice.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> int:
    cell, stage = Path(sys.argv[1]), sys.argv[2]
    said = json.loads((cell / "behave.json").read_text()).get(stage, {})
    stop = []
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
    with (cell / f"{stage}.begun").open("a") as file:
        file.write(f"{os.environ['SLURM_ARRAY_JOB_ID']} {said.get('note', '')}\n")
    alive = cell / f"{stage}.alive"
    # SLURM may kill a stage without a warning, which then leaves its file.
    if alive.exists() and Path("/proc", alive.read_text()).exists():
        raise FileExistsError(f"{alive}: two at once")
    alive.write_text(str(os.getpid()))
    try:
        return count(cell, stage, said, stop)
    finally:
        alive.unlink()


def count(cell: Path, stage: str, said: dict, stop: list) -> int:
    saved = cell / f"{stage}.step"
    step = int(saved.read_text()) if saved.exists() else 0
    if said.get("raise"):
        raise ValueError(said["raise"])
    if said.get("sigkill"):
        (cell / f"{stage}.alive").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    while step < said.get("steps", 1):
        if stop:
            return 75
        time.sleep(said.get("seconds", 0.01))
        step += 1
        saved.write_text(str(step))
    (cell / f"{stage}.done").write_text(str(step))
    return 0


sys.exit(main())
