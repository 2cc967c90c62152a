"""The mirror to W&B online: the real client, killed at bad moments, against a server that remembers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefix_rft.runs.checkpoint import save_checkpoint
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.markers import TRAIN
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.runs.tracking import LOG_FILE, MirrorHandle, start_mirror
from prefix_rft.settings import RunConfig
from slurm.testing.wandb_server import WandbServer, serving
from slurm.testing.wandb_views import FullServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    with serving(FullServer()) as found:
        for name, value in {**found.environment, "WANDB_API_KEY": "k" * 40}.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def run(tmp_path: Path, make_config: Callable[..., RunConfig], server: WandbServer) -> RunDir:
    config = make_config(seed=3, tracking={"wandb": "online"})
    return Store(tmp_path / "runs").create(train_identity(config), config)


def start(run: RunDir) -> MirrorHandle:
    StateWriter(run.path).attempt()
    mirror = start_mirror(run.path, run.config().tracking)
    assert mirror is not None
    return mirror


def train(run: RunDir, first: int, last: int) -> None:
    for step in range(first, last + 1):
        MetricsWriter(run.path).append(step, "train", {"reward": step / 7})


def _write(folder: Path) -> None:
    (folder / "weights").write_text("w")


def finished(run: RunDir, step: int) -> None:
    save_checkpoint(run.path, step, _write, 1)
    run.stages.mark_done(TRAIN, step=step)


def steps(server: WandbServer, run: RunDir) -> list[int]:
    return [line["_step"] for line in server.runs[run.id].history]


def wait(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill(mirror: MirrorHandle) -> None:
    """All of it at once, as when a node goes down: the mirror and W&B's own helper."""
    os.killpg(mirror.process.pid, signal.SIGKILL)
    mirror.process.wait()


def test_rows_that_were_on_their_way_when_everything_was_killed_come_with_the_next_attempt(
    run: RunDir, server: WandbServer
) -> None:
    mirror = start(run)
    train(run, 1, 8)
    wait((run.path / "wandb" / "position.json").exists)
    kill(mirror)
    assert len(steps(server, run)) < 7
    assert MetricsWriter(run.path).truncate_after(5) == 3
    mirror = start(run)
    train(run, 6, 12)
    finished(run, 12)
    assert mirror.finish(60)
    assert steps(server, run) == list(range(1, 13))
    assert server.runs[run.id].resumed == [False, True]


def test_a_step_whose_validation_was_cut_off_goes_to_the_server_whole(
    run: RunDir, server: WandbServer
) -> None:
    mirror = start(run)
    train(run, 1, 3)
    assert mirror.finish(60)
    MetricsWriter(run.path).truncate_after(2)
    mirror = start(run)
    train(run, 3, 3)
    MetricsWriter(run.path).append(3, "validation", {"validation/accuracy": 0.5})
    finished(run, 3)
    assert mirror.finish(60)
    assert steps(server, run) == [1, 2, 3]
    assert server.runs[run.id].history[2]["validation/accuracy"] == 0.5


def test_a_later_attempt_that_has_nothing_to_add_opens_nothing(run: RunDir, server: WandbServer) -> None:
    mirror = start(run)
    train(run, 1, 4)
    finished(run, 4)
    assert mirror.finish(60)
    assert start(run).finish(60)
    assert (steps(server, run), len(server.runs[run.id].opened)) == ([1, 2, 3, 4], 1)


def test_what_a_killed_mirror_had_not_sent_is_sent_by_hand(run: RunDir, server: WandbServer) -> None:
    mirror = start(run)
    train(run, 1, 8)
    wait((run.path / "wandb" / "position.json").exists)
    kill(mirror)
    command = [sys.executable, "-m", "prefix_rft.runs.mirror", str(run.path)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert steps(server, run) == list(range(1, 9))


def test_a_helper_of_another_process_is_left_alone(
    run: RunDir, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SERVICE", "3-1-tcp-localhost-1-v1")
    mirror = start(run)
    train(run, 1, 3)
    finished(run, 3)
    assert mirror.finish(60)
    assert steps(server, run) == [1, 2, 3]


def test_the_key_is_in_no_file(run: RunDir, server: WandbServer) -> None:
    mirror = start(run)
    train(run, 1, 3)
    assert mirror.finish(60)
    assert (run.path / LOG_FILE).exists()
    assert not any(b"k" * 40 in path.read_bytes() for path in run.path.rglob("*") if path.is_file())
