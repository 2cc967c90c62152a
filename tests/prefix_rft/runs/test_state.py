"""States of a run and its history."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prefix_rft.errors import RunError
from prefix_rft.runs.jsonl import read_records
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.state import StateWriter, append_event, read_state, recorded_state


def _events(path: Path) -> list[str]:
    return [row["event"] for row in read_records(path / "events.jsonl").rows]


def test_the_usual_way(tmp_path: Path) -> None:
    assert read_state(tmp_path).status == "new"
    writer = StateWriter(tmp_path, progress_seconds=0)
    writer.queued("train", job=17)
    assert read_state(tmp_path).status == "queued"
    with RunLock(tmp_path):
        writer.attempt()
        writer.running("train", step=5, total_steps=60)
        writer.progress(6)
        state = read_state(tmp_path)
        assert (state.status, state.stage, state.step, state.total_steps) == ("running", "train", 6, 60)
        assert state.attempt == 1
        writer.done()
    state = read_state(tmp_path)
    assert (state.status, state.error) == ("done", None)
    assert _events(tmp_path) == ["queued", "attempt", "stage", "done"]


def test_running_without_a_live_holder_is_lost(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from prefix_rft.runs.lock import RunLock;"
        "from prefix_rft.runs.state import StateWriter; path = Path(sys.argv[1]); RunLock(path).acquire();"
        "writer = StateWriter(path); writer.attempt(); writer.running('train', total_steps=60);"
        "writer.progress(7); os.kill(os.getpid(), 9)"
    )
    process = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert process.returncode == -9
    state = read_state(tmp_path)
    assert (state.status, state.step) == ("lost", 7)
    assert recorded_state(tmp_path).status == "running"
    with RunLock(tmp_path):
        StateWriter(tmp_path).attempt()
        assert (read_state(tmp_path).status, read_state(tmp_path).attempt) == ("running", 2)


def test_a_failure_is_kept_until_the_next_attempt(tmp_path: Path) -> None:
    writer = StateWriter(tmp_path)
    with RunLock(tmp_path):
        writer.attempt()
        writer.failed(ValueError("loss is nan"), log="run.log")
    error = read_state(tmp_path).error
    assert error is not None
    assert (error.type, error.message, error.log) == ("ValueError", "loss is nan", "run.log")
    with RunLock(tmp_path):
        writer.attempt()
        assert read_state(tmp_path).error is None
    assert read_records(tmp_path / "events.jsonl").rows[1]["message"] == "loss is nan"


def test_progress_is_written_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    writer = StateWriter(tmp_path, progress_seconds=3600)
    writer.running("train", total_steps=3)
    steps = []
    for step in (1, 2, 3):
        writer.progress(step, 3)
        steps.append(recorded_state(tmp_path).step)
    assert steps == [1, 1, 3]


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"status": "idle", "error": null}', '{"error": null, "x": 1}', ""]
)
def test_a_damaged_state_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(RunError, match=r"state\.json"):
        read_state(tmp_path)


def test_events_carry_their_time(tmp_path: Path) -> None:
    append_event(tmp_path, "resumed", step=50)
    (row,) = read_records(tmp_path / "events.jsonl").rows
    assert (row["event"], row["step"], row["time"][:2]) == ("resumed", 50, "20")
