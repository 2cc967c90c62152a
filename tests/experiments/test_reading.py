"""What is seen of a run while a large data set becomes tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import stages
from prefix_rft.runs.state import StateWriter, recorded_state


def seen(run: Path) -> tuple[str | None, int | None, int | None]:
    state = recorded_state(run)
    return state.stage, state.step, state.total_steps


def test_a_large_data_set_is_a_stage_of_its_own_until_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages._Reading, "_UNSEEN_SECONDS", 0.0)
    state = StateWriter(tmp_path, progress_seconds=0.0)
    state.running("train")
    reading = stages._Reading(state)
    reading(256, 1000)
    assert seen(tmp_path) == ("read data", 256, 1000)
    reading(1000, 1000)
    assert seen(tmp_path) == ("train", 0, None)


def test_a_small_one_is_not_shown(tmp_path: Path) -> None:
    state = StateWriter(tmp_path, progress_seconds=0.0)
    state.running("train")
    reading = stages._Reading(state)
    reading(256, 300)
    reading(300, 300)
    assert seen(tmp_path) == ("train", 0, None)
