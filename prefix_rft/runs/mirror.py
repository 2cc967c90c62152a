"""The mirror process: `python -m prefix_rft.runs.mirror <run directory>...` copies metrics.jsonl to W&B.

What was mirrored is remembered by step and kind, not by place in the file: a resumed run writes the rows
after its checkpoint again, equal ones, and they are not mirrored twice.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prefix_rft.errors import PrefixRftError, RunLockedError
from prefix_rft.runs.atomic import read_json, write_json
from prefix_rft.runs.jsonl import Record
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.state import append_event, recorded_state
from prefix_rft.runs.store import RunDir
from prefix_rft.settings.base import parse
from prefix_rft.settings.run import RunConfig
from prefix_rft.settings.tracking import TrackingSettings

FOLDER = "wandb"
"""Below the run directory: what W&B writes offline, and how far the mirror has come."""
POSITION_FILE = "position.json"
_NICENESS = 10
_POLL_SECONDS = 2.0
_LONGEST_TAG = 64


@dataclass
class Position:
    """The last step that was mirrored, and which of its rows."""

    step: int = 0
    kinds: list[str] = field(default_factory=list)

    def is_new(self, row: Record) -> bool:
        """Whether the row has not been mirrored yet."""
        return row["step"] > self.step or (row["step"] == self.step and row["kind"] not in self.kinds)

    def move_to(self, row: Record) -> None:
        """The row has been mirrored."""
        kinds = self.kinds if row["step"] == self.step else []
        self.step, self.kinds = row["step"], [*kinds, row["kind"]]


class Tail:
    """Reads the committed lines that were added to a file; starts again where the file was replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode = self._offset = 0

    def read(self) -> list[Record]:
        """Records added since the last call; none for a missing file."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            state = os.fstat(file.fileno())
            if state.st_ino != self._inode or state.st_size < self._offset:
                self._inode, self._offset = state.st_ino, 0
            file.seek(self._offset)
            committed, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(committed) + len(newline)
        return [json.loads(line) for line in committed.split(b"\n") if line]


class Mirror:
    """One run's row of W&B, opened when there is something to say."""

    def __init__(self, run: RunDir, tracking: TrackingSettings, *, whole: bool = False) -> None:
        self.run = run
        self.folder = run.path / FOLDER
        self.folder.mkdir(exist_ok=True)
        self._tracking = tracking
        path = self.folder / POSITION_FILE
        self._position = Position(**read_json(path)) if path.exists() and not whole else Position()
        self._wandb_run: Any = None

    def log(self, rows: Iterable[Record]) -> int:
        """Mirror the rows that are new; returns how many were."""
        new = [row for row in rows if self._position.is_new(row)]
        for row in new:
            self._open().log(_values(row), step=row["step"])
            self._position.move_to(row)
        if new:
            write_json(self.folder / POSITION_FILE, asdict(self._position), durable=False)
        return len(new)

    def close(self) -> None:
        """Flush everything; the exit code tells W&B whether the run failed."""
        if self._wandb_run is not None:
            self._wandb_run.finish(exit_code=int(recorded_state(self.run.path).status == "failed"))

    def _open(self) -> Any:
        if self._wandb_run is None:
            import wandb

            settings = wandb.Settings(**_QUIET)
            self._wandb_run = wandb.init(
                dir=self.run.path, settings=settings, **describe(self.run, self._tracking)
            )
        return self._wandb_run


_QUIET: Mapping[str, Any] = {
    "console": "off",
    "silent": True,
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "symlink": False,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
}


def describe(run: RunDir, tracking: TrackingSettings) -> dict[str, Any]:
    """How the run presents itself to `wandb.init`."""
    config = run.config()
    what = config.method.name if run.kind == "train" else "base"
    tags = dict.fromkeys(tag[:_LONGEST_TAG] for tag in (config.sweep, what, *tracking.tags) if tag)
    return {
        "mode": tracking.wandb,
        "project": tracking.project,
        "entity": tracking.entity,
        "id": run.id,
        "name": _title(config, what),
        "group": config.sweep or what,
        "job_type": run.kind,
        "tags": list(tags),
        "config": config.model_dump(mode="json"),
        "resume": "allow",
    }


def _title(config: RunConfig, what: str) -> str:
    return what if what == "base" else f"{what} seed {config.seed}"


def _values(row: Record) -> dict[str, Any]:
    """The row as W&B shows it: one panel group a kind, and one for times."""
    kind = row["kind"]
    numbers = {key: value for key, value in row.items() if key not in ("step", "kind") and value is not None}
    return {
        key if key.startswith((f"{kind}/", "time/")) else f"{kind}/{key}": numbers[key] for key in numbers
    }


def sync(run_path: Path, *, whole: bool = False) -> int:
    """Mirror what is missing of a run that nobody is working on.

    Args:
        run_path: the run directory.
        whole: mirror every row again, from the first.

    Returns:
        How many rows were mirrored; none where the run's tracking is disabled.

    Raises:
        RunLockedError: a live process works on the run; its own mirror follows it.
    """
    if is_locked(run_path):
        raise RunLockedError(
            f"run {run_path.name} is being worked on, and mirrored, by a live process. Wait for it."
        )
    run = RunDir(run_path)
    tracking = run.config().tracking
    if tracking.wandb == "disabled":
        return 0
    mirror = Mirror(run, tracking, whole=whole)
    count = mirror.log(Tail(run_path / METRICS_FILE).read())
    mirror.close()
    return count


def follow(run_path: Path, parent: int, tracking: TrackingSettings) -> int:
    """Mirror rows as they come, until the run is over, its process is gone, or standard input is closed."""
    mirror, tail = Mirror(RunDir(run_path), tracking), Tail(run_path / METRICS_FILE)
    count, over = 0, False
    while not over:
        over = _input_closed(_POLL_SECONDS) or _is_over(run_path, parent)
        count += mirror.log(tail.read())
    mirror.close()
    return count


def _is_over(run_path: Path, parent: int) -> bool:
    return os.getppid() != parent or recorded_state(run_path).status in ("done", "failed", "queued")


def _input_closed(seconds: float) -> bool:
    """Wait at most so long for the end of standard input."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and not os.read(sys.stdin.fileno(), 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mirror; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m prefix_rft.runs.mirror", description=__doc__)
    parser.add_argument("run", nargs="+", type=Path, help="run directories")
    parser.add_argument("--whole", action="store_true", help="mirror every row again, from the first")
    parser.add_argument("--follow", type=int, metavar="PID", help="follow one live run of this process")
    parser.add_argument("--tracking", help="tracking settings as JSON, in place of the run's (with --follow)")
    given = parser.parse_args(arguments)
    os.nice(_NICENESS)
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    if given.follow:
        follow(given.run[0], given.follow, parse(TrackingSettings, json.loads(given.tracking)))
        return 0
    return int(sum(_sync_and_tell(path, given.whole) for path in given.run) < len(given.run))


def _sync_and_tell(run_path: Path, whole: bool) -> bool:
    """Mirror one run; a run that cannot be mirrored stops no other."""
    try:
        print(f"{run_path.name}: {sync(run_path, whole=whole)} rows mirrored", flush=True)
    except PrefixRftError as error:
        print(f"{run_path.name}: {error}", file=sys.stderr, flush=True)
        if run_path.is_dir():
            append_event(run_path, "mirror incomplete", reason=str(error))
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
