"""Runs that worker processes train, on a task of which an untrained model gets some questions right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments import stages
from experiments.worker import Request
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.local.initial import write_random_model
from prefix_rft.runs.identity import chain
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import Architecture, RunConfig, parse
from prefix_rft.stop import StopFlag

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Job:
    """One run, and the worker process that is asked to do it."""

    run: RunDir
    request: Request

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self.request.to_dict()).encode())
        process.stdin.close()
        return process

    def finish(self) -> tuple[int, str]:
        """Work to the end; the exit code and what was said on standard error."""
        return end(self.start())

    def signal_after(self, rows: int, number: signal.Signals, delay: float = 0.0) -> tuple[int, str]:
        """Send a signal some seconds after metrics.jsonl holds that many rows."""
        process = self.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.rows_written() < rows and process.poll() is None:
            assert time.monotonic() < deadline, f"no {rows} rows after {PATIENCE_SECONDS} s"
            time.sleep(0.0005)
        time.sleep(delay)
        process.send_signal(number)
        return end(process)

    def finish_here(self, state: StateWriter | None = None) -> None:
        """Train to the end in this process, never interrupted."""
        state = state or StateWriter(self.run.path)
        with RunLock(self.run.path):
            state.attempt()
            stages.train(self.run, self.request.config, self.request.parent_id, state, StopFlag())

    def rows_written(self) -> int:
        file = self.run.path / "metrics.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def result(self) -> dict[str, Any]:
        """All that must come out the same, however the run was interrupted."""
        last = self.run.checkpoints()[-1]
        rows = [{k: v for k, v in row.items() if not k.startswith("time/")} for row in self.run.metrics()]
        names = ("model.safetensors", "optimizer.safetensors")
        return {"step": last.step, "metrics": rows} | {
            name: (last.path / name).read_bytes() for name in names
        }


def end(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()
    return process.wait(PATIENCE_SECONDS), said


MakeJob = Callable[..., Job]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of 4,000 parameters that speaks the embedded task's language."""
    folder, encoder = tmp_path_factory.mktemp("model"), ChainEncoder(4)
    shape = Architecture(hidden_size=16, layers=1, heads=2, key_value_heads=2, intermediate_size=32)
    write_random_model(
        folder,
        shape,
        vocabulary=encoder.vocabulary_size,
        eos_id=encoder.eos_id,
        pad_id=encoder.pad_id,
        seed=0,
    )
    encoder.save(folder)
    return folder


@pytest.fixture(scope="session")
def data_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions with one-digit answers: chance finds them often, so that advantages are not zero."""
    rows = [
        {"id": f"q{i}", "problem": f"{i // 4}{i % 4}?", "answer": str(i % 4), "solution": f"={i % 4}#{i % 4}"}
        for i in range(16)
    ]
    file = tmp_path_factory.mktemp("data") / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def make_job(tmp_path: Path, model_path: Path, data_path: Path) -> MakeJob:
    """A run of 24 short steps with a checkpoint at every third; sections of the settings by keyword.

    `of_method` holds settings of the method beside its name.
    """

    def make(
        method: str = "prefix_rft",
        *,
        store: Path = tmp_path / "runs",
        of_method: dict[str, Any] | None = None,
        **sections: Any,
    ) -> Job:
        values = _settings(method, store, model_path, data_path) | sections
        values["method"] |= of_method or {}
        config = parse(RunConfig, values)
        planned = chain(config)[-1]
        run = Store(config.store).create(planned.identity, config)
        return Job(run, Request(run.id, planned.parent_id, config))

    return make


def _settings(method: str, store: Path, model: Path, data: Path) -> dict[str, Any]:
    rollouts = {} if method == "sft" else {"rollouts": 4}
    often = {"checkpoint_every": 3, "validate_every": 5, "questions_per_step": 6}
    return {
        "method": {"name": method, **rollouts},
        "model": {"kind": "pretrained", "path": str(model)},
        "data": {
            "kind": "jsonl",
            "path": str(data),
            "validation_questions": 3,
            "test_questions": 0,
            "max_prompt_tokens": 8,
            "max_response_tokens": 12,
            "grading": {"extract": ["last_number"], "verifier": "exact"},
        },
        "optimisation": {
            "sft": {"epochs": 8, "learning_rate": 1e-2, **often},
            "rl": {"steps": 24, "mini_batches": 2, "learning_rate": 1e-2, **often},
        },
        "evaluation": {"splits": []},
        "tracking": {"wandb": "disabled"},
        "store": str(store),
    }


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB; skips where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
