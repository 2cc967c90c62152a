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
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prefix_rft.errors import PrefixRftError, RunLockedError
from prefix_rft.runs.atomic import read_json, write_json
from prefix_rft.runs.jsonl import Record
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.markers import TRAIN
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.rollout_samples import ROLLOUT_SAMPLES_FILE
from prefix_rft.runs.state import append_event, recorded_state
from prefix_rft.runs.store import RunDir
from prefix_rft.runs.tracking_labels import FOLDER, LABELS_FILE
from prefix_rft.runs.tracking_position import POSITION_FILE, Position
from prefix_rft.runs.tracking_row import curve_summary, curve_values, open_row, step_name
from prefix_rft.runs.tracking_show import show_evaluations, show_samples
from prefix_rft.runs.tracking_tables import SAMPLES, SCORES, evaluations_digest, files_digest
from prefix_rft.settings.base import parse
from prefix_rft.settings.tracking import TrackingSettings

_NICENESS = 10
_POLL_SECONDS = 2.0


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
    """One run's rows of W&B, opened when there is something to say."""

    def __init__(self, run: RunDir, tracking: TrackingSettings, *, whole: bool = False) -> None:
        self.run = run
        self.folder = run.path / FOLDER
        self.folder.mkdir(exist_ok=True)
        self._tracking = tracking
        path = self.folder / POSITION_FILE
        self._position = Position(**read_json(path)) if path.exists() and not whole else Position()
        self._step = step_name(run)
        self._row: Any = None
        self._logged = False

    def log(self, rows: Sequence[Record]) -> int:
        """Mirror the rows that are new; returns how many were."""
        if rows and not self._position.sent and self._row is None:
            self._ask(rows)
        new = [row for row in rows if self._position.is_new(row)]
        for row in new:
            self._open().log({self._step: row["step"], **curve_values(row)}, step=row["step"])
            self._position.move_to(row)
        if new:
            self._logged = True
            self._position.sent = self._tracking.wandb == "offline"
            self._remember()
        return len(new)

    def _ask(self, rows: Sequence[Record]) -> None:
        """Take W&B's word for the last step that it has: what a session that was cut off had sent it alone knows."""
        self._position.step = self._open().starting_step - 1
        self._position.kinds = sorted({row["kind"] for row in rows})

    def close(self) -> int:
        """Flush the curves, and show labels, samples and scores where they are new; returns how many evaluations.

        The exit code tells W&B whether the run failed.
        """
        try:
            self._close_training()
        finally:  # a server that refuses a table of samples has the scores all the same
            count = self._show_evaluations()
        self._remember()
        return count

    def _close_training(self) -> None:
        try:
            self._show_the_rest_of_training()
        finally:
            if self._row is not None:
                self._row.finish(exit_code=int(recorded_state(self.run.path).status == "failed"))
                self._position.sent = True

    def _show_evaluations(self) -> int:
        scores = evaluations_digest(self.run.path)
        shown = scores and f"{scores} {self._labels}".strip()
        return show_evaluations(self.run, self._tracking) if self._position.is_news(SCORES, shown) else 0

    def _open(self) -> Any:
        if self._row is None:
            self._row = open_row(self.run, self._tracking, "train")
        return self._row

    def _show_the_rest_of_training(self) -> None:
        """Labels are shown by opening the row; a run without a curve has none.

        An opened row gets its whole summary: W&B's own knows nothing of what was mirrored before it was opened, and
        `wandb sync` puts it in the place of the one that is there.
        """
        if not self._position.step:
            return
        most = self._tracking.sample_rows
        samples = files_digest([self.run.path / ROLLOUT_SAMPLES_FILE]) if most else ""
        if self._position.is_news("labels", self._labels) | self._position.is_news(SAMPLES, samples):
            self._open()
        if self._row is None:
            return
        if self._logged:
            # W&B takes a line into its summary when it is complete: before this one, not after it.
            self._row.log({}, step=self._position.step, commit=True)
        self._row.summary.update(curve_summary(self.run.metrics(), self._step))
        if samples:
            show_samples(self._row, self.run.path, most)

    @cached_property
    def _labels(self) -> str:
        return files_digest([self.folder / LABELS_FILE])

    def _remember(self) -> None:
        write_json(self.folder / POSITION_FILE, asdict(self._position), durable=False)


@dataclass(frozen=True)
class Mirrored:
    """What was mirrored of a run."""

    rows: int = 0
    evaluations: int = 0

    def __str__(self) -> str:
        return f"{self.rows} rows mirrored" + (
            f", {self.evaluations} evaluations" if self.evaluations else ""
        )


def sync(run_path: Path, *, whole: bool = False) -> Mirrored:
    """Mirror what is missing of a run that nobody is working on.

    Args:
        run_path: the run directory.
        whole: mirror every row again, from the first.

    Returns:
        How much was mirrored; nothing where the run's tracking is disabled.

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
        return Mirrored()
    mirror = Mirror(run, tracking, whole=whole)
    count = mirror.log(Tail(run_path / METRICS_FILE).read())
    return Mirrored(count, mirror.close())


def follow(run_path: Path, parent: int, tracking: TrackingSettings) -> int:
    """Mirror rows as they come, until the run is over, its process is gone, or standard input is closed."""
    run, tail = RunDir(run_path), Tail(run_path / METRICS_FILE)
    mirror, held = Mirror(run, tracking), list[Record]()
    count, over = 0, False
    while not over:
        over = _input_closed(_POLL_SECONDS) or _is_over(run_path, parent)
        # Sorted: what a resumed run writes again may follow a later step that is held.
        rows = sorted((*held, *tail.read()), key=lambda row: int(row["step"]))
        held = [] if over and run.stages.is_done(TRAIN) else _of_the_last_step(rows, tracking)
        count += mirror.log(rows[: len(rows) - len(held)])
    mirror.close()
    return count


def _of_the_last_step(rows: list[Record], tracking: TrackingSettings) -> list[Record]:
    """Rows that wait for others of their step, since W&B takes no row of a step that it has.

    Where the run stops there they come with its next attempt.
    """
    return [row for row in rows if row["step"] == rows[-1]["step"]] if tracking.wandb == "online" else []


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
    # A helper of W&B's that belongs to another process keeps runs as "in use" that a killed mirror had opened.
    os.environ.pop("WANDB_SERVICE", None)
    if given.follow:
        follow(given.run[0], given.follow, parse(TrackingSettings, json.loads(given.tracking)))
        return 0
    return int(sum(_sync_and_tell(path, given.whole) for path in given.run) < len(given.run))


def _sync_and_tell(run_path: Path, whole: bool) -> bool:
    """Mirror one run; a run that cannot be mirrored stops no other."""
    try:
        print(f"{run_path.name}: {sync(run_path, whole=whole)}", flush=True)
    except Exception as error:
        # Whatever W&B or a file of the run has, the other runs are mirrored all the same.
        if not isinstance(error, PrefixRftError):
            traceback.print_exc()
        print(f"{run_path.name}: {error}", file=sys.stderr, flush=True)
        if run_path.is_dir():
            append_event(run_path, "mirror incomplete", reason=f"{type(error).__name__}: {error}")
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
