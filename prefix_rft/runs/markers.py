"""Done markers: a stage is done only if its marker and what it promised are both there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefix_rft.errors import CheckpointError, RunError
from prefix_rft.runs.atomic import read_json, write_json
from prefix_rft.runs.checkpoint import Checkpoint, verify
from prefix_rft.runs.lock import refuse_if_lost
from prefix_rft.runs.state import append_event, now

TRAIN = "train"
_OF_EVALUATION = ("scores.json", "samples.parquet", "verdicts.parquet")


def evaluation_stage(split: str, folder: str) -> str:
    """Name of the stage that evaluates one split under one protocol; also its folder below `eval/`."""
    return f"evaluate/{split}/{folder}"


class StageMarkers:
    """The markers of one run: markers/train.json, and eval/<split>/<protocol>/done.json."""

    def __init__(self, run_path: Path) -> None:
        self.run_path = run_path

    def mark_done(self, stage: str, **details: Any) -> None:
        """Record that the stage is complete.

        Args:
            stage: `train`, or a name from `evaluation_stage`.
            details: for train `step`, the last one, whose checkpoint exists; for an evaluation `samples` (a
                question) and, if wanted, `questions`, as scores.json counts them.

        Raises:
            RunError: what the stage promises is not there.
        """
        refuse_if_lost(self.run_path)
        reason = self._missing(stage, details)
        if reason:
            raise RunError(f"run {self.run_path.name}: stage {stage} cannot be done: {reason}.")
        path = self._path(stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"stage": stage, "finished": now(), **details})
        append_event(self.run_path, "stage done", stage=stage, **details)

    def is_done(self, stage: str, **expected: Any) -> bool:
        """Whether marker and target are there and the marker's details are the expected ones."""
        return self.why_not_done(stage, **expected) is None

    def why_not_done(self, stage: str, **expected: Any) -> str | None:
        """What is missing for the stage to be done, or None."""
        path = self._path(stage)
        if not path.exists():
            return "it has not finished"
        details = _content(path)
        if not _is_marker(stage, details):
            return f"{path} is not the marker of a stage"
        differing = [
            f"{key}={details.get(key)}, not {value}"
            for key, value in expected.items()
            if details.get(key) != value
        ]
        return f"it finished with {', '.join(differing)}" if differing else self._missing(stage, details)

    def trained(self) -> Checkpoint | None:
        """The checkpoint with which training ended; None where it has not, or its marker is damaged."""
        details = _content(self._path(TRAIN))
        return self._checkpoint(details) if _is_marker(TRAIN, details) else None

    def _path(self, stage: str) -> Path:
        if stage == TRAIN:
            return self.run_path / "markers" / "train.json"
        return self._evaluation(stage) / "done.json"

    def _evaluation(self, stage: str) -> Path:
        kind, _, rest = stage.partition("/")
        if kind != "evaluate" or rest.count("/") != 1:
            raise ValueError(f"there is no stage {stage!r}: it is {TRAIN} or evaluate/<split>/<protocol>")
        return self.run_path / "eval" / rest

    def _missing(self, stage: str, details: dict[str, Any]) -> str | None:
        return self._missing_checkpoint(details) if stage == TRAIN else self._missing_scores(stage, details)

    def _missing_checkpoint(self, details: dict[str, Any]) -> str | None:
        try:
            verify(self._checkpoint(details), hashes=False)
        except CheckpointError as error:
            return str(error)
        return None

    def _checkpoint(self, details: dict[str, Any]) -> Checkpoint:
        step = int(details["step"])
        return Checkpoint(self.run_path.name, step, self.run_path / "checkpoints" / f"step_{step}")

    def _missing_scores(self, stage: str, details: dict[str, Any]) -> str | None:
        folder = self._evaluation(stage)
        missing = [folder / name for name in _OF_EVALUATION if not (folder / name).exists()]
        if missing:
            return f"{missing[0]} is missing"
        path = folder / _OF_EVALUATION[0]
        scores = _content(path)
        if not isinstance(scores, dict):
            return f"{path} holds no scores"
        counted = {"samples": details["samples"], **{k: v for k, v in details.items() if k == "questions"}}
        differing = [
            f"{scores.get(key)} {key}, not {expected}"
            for key, expected in counted.items()
            if scores.get(key) != expected
        ]
        return f"{path} counts {' and '.join(differing)}" if differing else None


def _content(path: Path) -> Any:
    """None where it cannot be read: the stage is then not done, and leaves the file anew."""
    try:
        return read_json(path)
    except RunError:
        return None


def _is_marker(stage: str, details: Any) -> bool:
    """Whether a marker's content is an object with the number that its kind is checked by."""
    return isinstance(details, dict) and type(details.get("step" if stage == TRAIN else "samples")) is int
