"""The command behind a sweep killed at random moments: nothing it started goes on unseen, and the sweep ends alike."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefix_rft.runs.checkpoint import list_checkpoints, verify
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.store import Store

KILLS = 6
LONGEST_SECONDS = 8.0
"""From the command's start: its imports, the process that forks, the base model, two runs and their evaluations."""
PATIENCE_SECONDS = 120.0
SWEEP = (
    "--multirun",
    "method=sft,rft",
    "launcher.workers=2",
    "tracking=disabled",
    "backend.generation_batch=4",
    *(f"optimisation.rl.{setting}" for setting in ("steps=60", "questions_per_step=4", "checkpoint_every=5")),
    *(
        f"optimisation.sft.{setting}"
        for setting in ("epochs=20", "questions_per_step=16", "checkpoint_every=5")
    ),
    *(f"optimisation.{phase}.validate_every=0" for phase in ("rl", "sft")),
    *(f"data.{split}_questions={count}" for split, count in (("train", 32), ("validation", 4), ("test", 6))),
    *(f"evaluation.{setting}" for setting in ("protocol=tiny", "samples=16", "pass_at=[1]")),
    *(f"model.{phase}_steps={n}" for phase, n in (("single", 0), ("skill", 0), ("polish", 1), ("habit", 1))),
    *(f"model.architecture.{size}" for size in ("hidden_size=16", "intermediate_size=32", "layers=1")),
)


def start(folder: Path) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.run", *SWEEP],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def end(process: subprocess.Popen[str]) -> int:
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    print(said)
    return process.returncode


def outcome(folder: Path) -> dict[str, Any]:
    """Weights, metrics without times, samples and verdicts of every run."""
    found: dict[str, Any] = {}
    for run in Store(folder / "runs").runs():
        last = run.checkpoints()[-1]
        verify(last)
        rows = [{k: v for k, v in row.items() if not k.startswith("time/")} for row in run.metrics()]
        files = [last.path / "model.safetensors", *sorted(run.path.glob("eval/*/*/*.parquet"))]
        content = {path.name: path.read_bytes() for path in files}
        found[run.id] = (last.step, run.state().status, rows, content)
    return found


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.slow
def test_a_sweeps_command_killed_until_it_ends(tmp_path: Path) -> None:
    assert end(start(tmp_path / "straight")) == 0
    chance, landed = random.Random("launcher"), 0
    print(f"random.Random('launcher').uniform(0.5, {LONGEST_SECONDS})")
    while landed < KILLS:
        command = start(tmp_path / "killed")
        try:
            command.wait(chance.uniform(0.5, LONGEST_SECONDS))
        except subprocess.TimeoutExpired:
            command.kill()
        if end(command) != -signal.SIGKILL:
            break
        landed += 1
        runs = Store(tmp_path / "killed" / "runs").runs()
        wait(lambda runs=runs: not any(is_locked(run.path) for run in runs), "what it had started leaves")
        for checkpoint in (found for run in runs for found in list_checkpoints(run.path)):
            verify(checkpoint)
    print(f"{landed} kills landed")
    assert end(start(tmp_path / "killed")) == 0
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "straight")
    assert len(outcome(tmp_path / "straight")) == 3
    assert landed >= KILLS // 2
