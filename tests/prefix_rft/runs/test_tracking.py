"""The mirror to W&B: the real package, offline; its files are read back record by record."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefix_rft.errors import RunLockedError
from prefix_rft.runs import tracking
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.mirror import Tail, sync
from prefix_rft.runs.state import StateWriter, append_event
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.runs.tracking import mirror_runs, start_mirror
from prefix_rft.runs.tracking_position import Position
from prefix_rft.settings import RunConfig
from prefix_rft.settings.tracking import TrackingSettings

MakeConfig = Callable[..., RunConfig]
OFFLINE = TrackingSettings()


@pytest.fixture
def tracked(tmp_path: Path, make_config: MakeConfig) -> RunDir:
    config = make_config(seed=3, sweep="main", tracking={"tags": ["mine"], "project": "trial"})
    return Store(tmp_path / "runs").create(train_identity(config), config)


def _train(run: RunDir, first: int, last: int) -> None:
    writer = MetricsWriter(run.path)
    for step in range(first, last + 1):
        writer.append(step, "train", {"reward": step / 7, "time/step": 0.5, "loss": None})
    writer.append(last, "validation", {"validation/accuracy": 0.25})


def _records(path: Path) -> Iterator[Any]:
    """Records of a .wandb file: the framing of LevelDB's log around protobuf, up to a torn end."""
    from wandb.proto import wandb_internal_pb2

    content, at, part = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        piece = content[at + 7 : at + 7 + length]
        part = piece if kind in (1, 2) else part + piece
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(part)
            yield record


def _mirrored(run: RunDir) -> tuple[list[Any], list[dict[str, Any]]]:
    """Descriptions and history of all offline files of the run, oldest first."""
    descriptions, history = [], []
    files = sorted(run.path.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    for record in (record for path in files for record in _records(path)):
        if record.HasField("run"):
            descriptions.append(record.run)
        if record.HasField("history"):
            items = record.history.item
            history.append(
                {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
            )
    return descriptions, history


def test_every_row_and_the_configuration_reach_the_mirror(tracked: RunDir) -> None:
    with RunLock(tracked.path):
        state = StateWriter(tracked.path)
        state.attempt()
        mirror = start_mirror(tracked.path, tracked.config().tracking)
        assert mirror is not None
        _train(tracked, 1, 20)
        state.done()
        assert mirror.finish(timeout=60)
    descriptions, history = _mirrored(tracked)
    shown = descriptions[-1]
    assert (shown.run_id, shown.project, shown.run_group) == (tracked.id, "trial", "main")
    assert (shown.job_type, shown.display_name) == ("train", "prefix_rft seed 3")
    assert sorted(shown.tags) == ["main", "mine", "prefix_rft", "toy"]
    config = {item.key: json.loads(item.value_json) for item in shown.config.update}
    assert config["optimisation"] == tracked.config().optimisation.model_dump(mode="json")
    assert [row["_step"] for row in history] == list(range(1, 21))
    assert [row["train/reward"] for row in history] == [step / 7 for step in range(1, 21)]
    assert history[-1]["validation/accuracy"] == 0.25
    assert history[0]["time/step"] == 0.5
    assert history[7]["rollout_step"] == 8
    assert "train/loss" not in history[0]
    assert [event["event"] for event in tracked.events()] == ["created", "attempt", "done"]


def test_a_resumed_run_is_not_mirrored_twice(tracked: RunDir) -> None:
    _train(tracked, 1, 7)
    assert _sync(tracked) == f"{tracked.id}: 8 rows mirrored"
    assert MetricsWriter(tracked.path).truncate_after(5) == 3
    _train(tracked, 6, 7)
    _train(tracked, 8, 9)
    assert _sync(tracked) == f"{tracked.id}: 3 rows mirrored"
    assert _sync(tracked) == f"{tracked.id}: 0 rows mirrored"
    _, history = _mirrored(tracked)
    assert [row["_step"] for row in history] == list(range(1, 10))
    assert _sync(tracked, "--whole") == f"{tracked.id}: 11 rows mirrored"


def _sync(run: RunDir, *options: str) -> str:
    command = [sys.executable, "-m", "prefix_rft.runs.mirror", str(run.path), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_mirror_outlives_a_killed_run_just_long_enough(tracked: RunDir) -> None:
    script = (
        "import os, sys, time; from pathlib import Path; from prefix_rft.runs.tracking import *;"
        "from prefix_rft.runs.state import StateWriter; from prefix_rft.runs.metrics import MetricsWriter;"
        "path = Path(sys.argv[1]); StateWriter(path).attempt();"
        "mirror = start_mirror(path, TrackingSettings()); print(mirror.process.pid, flush=True);"
        "MetricsWriter(path).append(1, 'train', {'reward': 1.0}); os.kill(os.getpid(), 9)"
    )
    output = subprocess.run([sys.executable, "-c", script, str(tracked.path)], capture_output=True, text=True)
    assert output.returncode == -9
    _wait_until_gone(int(output.stdout))
    _, history = _mirrored(tracked)
    assert [row["train/reward"] for row in history] == [1.0]


def _wait_for(path: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} has not appeared"
        time.sleep(0.05)


def _wait_until_gone(pid: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while _alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be collected does not."""
    path = Path(f"/proc/{pid}/stat")
    try:
        return path.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_hanging_mirror_is_killed_and_recorded(tracked: RunDir) -> None:
    StateWriter(tracked.path).attempt()
    _train(tracked, 1, 3)
    mirror = start_mirror(tracked.path, OFFLINE)
    assert mirror is not None
    _wait_for(tracked.path / "wandb" / "position.json")
    helpers = Path(f"/proc/{mirror.process.pid}/task/{mirror.process.pid}/children").read_text().split()
    os.kill(mirror.process.pid, signal.SIGSTOP)
    assert not mirror.finish(timeout=0.2)
    event = tracked.events()[-1]
    assert event["event"] == "mirror incomplete"
    assert event["reason"] == "the mirror was not through after 0.2 s and was killed"
    assert event["mirror_again"] == f"python -m prefix_rft.runs.mirror {tracked.path}"
    assert not _alive(mirror.process.pid)
    assert helpers
    for pid in helpers:
        _wait_until_gone(int(pid))


def test_a_failing_mirror_hurts_nobody_and_its_log_says_why(tracked: RunDir) -> None:
    StateWriter(tracked.path).attempt()
    (tracked.path / "wandb").write_text("a file where a folder should be")
    mirror = start_mirror(tracked.path, OFFLINE)
    assert mirror is not None
    mirror.process.wait(30)
    assert not mirror.finish()
    assert tracked.events()[-1]["reason"] == "the mirror ended with exit code 1"
    assert "FileExistsError" in (tracked.path / tracked.events()[-1]["log"]).read_text()


def test_disabled_tracking_starts_nothing(tracked: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking.subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    assert start_mirror(tracked.path, TrackingSettings(wandb="disabled")) is None
    assert not (tracked.path / "wandb.log").exists()


def test_finished_runs_are_mirrored_by_one_process(tmp_path: Path, make_config: MakeConfig) -> None:
    runs = []
    for seed, mode in enumerate(("offline", "offline", "disabled")):
        config = make_config(seed=seed, tracking={"wandb": mode})
        runs.append(Store(tmp_path / "runs").create(train_identity(config), config))
        _train(runs[-1], 1, 4)
    assert mirror_runs([run.path for run in runs], tmp_path / "log")
    assert [len(_mirrored(run)[1]) for run in runs] == [4, 4, 0]
    assert (tmp_path / "log").read_text().splitlines()[-1] == f"{runs[2].id}: 0 rows mirrored"


def test_one_run_that_cannot_be_mirrored_stops_no_other(tmp_path: Path, make_config: MakeConfig) -> None:
    runs = []
    for seed in (1, 2):
        config = make_config(seed=seed)
        runs.append(Store(tmp_path / "runs").create(train_identity(config), config))
        _train(runs[-1], 1, 4)
    (runs[0].path / "config.yaml").write_text("seed: 3\n")
    assert not mirror_runs([tmp_path / "nowhere", *(run.path for run in runs)], tmp_path / "log")
    assert [len(_mirrored(run)[1]) for run in runs] == [0, 4]
    assert [run.events()[-1]["event"] for run in runs] == ["mirror incomplete", "created"]


def test_a_live_run_is_not_mirrored_by_hand(tracked: RunDir) -> None:
    with RunLock(tracked.path), pytest.raises(RunLockedError, match="Wait for it"):
        sync(tracked.path)


def test_a_position_knows_steps_and_kinds() -> None:
    position = Position()
    position.move_to({"step": 3, "kind": "train"})
    rows = [{"step": step, "kind": kind} for step in (2, 3, 4) for kind in ("train", "validation")]
    assert [position.is_new(row) for row in rows] == [False, False, False, True, True, True]
    position.move_to({"step": 3, "kind": "validation"})
    assert position == Position(3, ["train", "validation"])
    position.move_to({"step": 4, "kind": "train"})
    assert position == Position(4, ["train"])


def test_a_tail_reads_committed_lines_once_and_starts_again_with_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    append_event(tmp_path, "one")
    with path.open("a") as file:
        file.write('{"event": "tor')
    assert [row["event"] for row in tail.read()] == ["one"]
    append_event(tmp_path, "two")
    assert [row["event"] for row in tail.read()] == ["two"]
    assert tail.read() == []
    path.rename(tmp_path / "old")
    append_event(tmp_path, "three")
    assert [row["event"] for row in tail.read()] == ["three"]
