"""A stage is done only if its marker and its target are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prefix_rft.errors import RunError
from prefix_rft.runs.checkpoint import Checkpoint, save_checkpoint
from prefix_rft.runs.markers import TRAIN, StageMarkers, evaluation_stage

STAGE = evaluation_stage("test", "avg32-0123abcd")


def _checkpoint(run: Path, step: int) -> Checkpoint:
    return save_checkpoint(run, step, lambda folder: (folder / "w").write_text("w") and None, keep=1)


def _score(run: Path, questions: int, samples: int) -> Path:
    path = run / "eval" / "test" / "avg32-0123abcd" / "scores.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"questions": questions, "samples": samples}))
    for table in ("samples", "verdicts"):
        path.with_name(f"{table}.parquet").touch()
    return path


def test_training_is_done_with_marker_and_last_checkpoint(tmp_path: Path) -> None:
    stages = StageMarkers(tmp_path)
    assert stages.why_not_done(TRAIN) == "it has not finished"
    checkpoint = _checkpoint(tmp_path, 60)
    assert not stages.is_done(TRAIN)
    stages.mark_done(TRAIN, step=60)
    assert stages.is_done(TRAIN, step=60)
    assert stages.why_not_done(TRAIN, step=61) == "it finished with step=60, not 61"
    (checkpoint.path / "w").unlink()
    assert not stages.is_done(TRAIN)
    assert "w is missing" in str(stages.why_not_done(TRAIN))


def test_training_cannot_be_marked_without_its_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"stage train cannot be done: .*manifest\.json is missing"):
        StageMarkers(tmp_path).mark_done(TRAIN, step=60)
    assert not (tmp_path / "markers").exists()


def test_an_evaluation_is_done_with_all_its_samples(tmp_path: Path) -> None:
    stages = StageMarkers(tmp_path)
    with pytest.raises(RunError, match=r"scores\.json is missing"):
        stages.mark_done(STAGE, questions=8, samples=32)
    path = _score(tmp_path, 8, 32)
    stages.mark_done(STAGE, questions=8, samples=32)
    assert stages.is_done(STAGE)
    assert not stages.is_done(STAGE, samples=64)
    _score(tmp_path, 7, 32)
    assert "counts 7 questions, not 8" in str(stages.why_not_done(STAGE))
    path.unlink()
    assert not stages.is_done(STAGE)


@pytest.mark.parametrize("stage", ["evaluate", "evaluate/test", "evaluate/a/b/c", "trian"])
def test_an_unknown_stage_is_refused(tmp_path: Path, stage: str) -> None:
    with pytest.raises(ValueError, match="there is no stage"):
        StageMarkers(tmp_path).is_done(stage)
