"""Configurations, a run directory and a disk that can be filled."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.rollout_samples import RolloutSample, append_samples
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig, parse

MakeConfig = Callable[..., RunConfig]


@pytest.fixture(autouse=True)
def no_helper_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test in this process that used W&B leaves its helper's address behind, for every program started later."""
    monkeypatch.delenv("WANDB_SERVICE", raising=False)


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """A configuration of the embedded task; sections are given by keyword."""

    def make(method: str = "prefix_rft", **sections: Any) -> RunConfig:
        values = {"method": {"name": method}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}}
        return parse(RunConfig, values | sections)

    return make


@pytest.fixture
def run(tmp_path: Path, make_config: MakeConfig) -> RunDir:
    """A new run."""
    config = make_config()
    return Store(tmp_path / "runs").create(train_identity(config), config)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; skips where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def finished(tmp_path: Path, make_config: MakeConfig) -> RunDir:
    """A run of three steps, with two samples of training and an evaluation of two questions x two samples."""
    config = make_config(seed=3, sweep="main_results", tracking={"project": "trial", "tags": ["mine"]})
    run = Store(tmp_path / "runs").create(train_identity(config), config)
    writer = MetricsWriter(run.path)
    for step, reward in enumerate((0.25, 0.75, 0.5), start=1):
        writer.append(step, "train", {"reward": reward, "truncated": 1 - reward, "entropy": float(step)})
    writer.append(3, "validation", {"validation/accuracy": 0.5})
    append_samples(run.path, [_sample(2, ["a", "b", "c"], 2), _sample(3, ["d"], 0)])
    _evaluation(run.path / "eval" / "test" / "avg2-00c0ffee")
    StateWriter(run.path).done()
    return run


def _sample(step: int, pieces: list[str], imitated: int) -> RolloutSample:
    weights, count = [1.0] * len(pieces), len(pieces)
    return RolloutSample(step, "q1", 0, "1+1?", pieces, weights, imitated, 0, count, 1.0, True)


def _evaluation(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    estimate = {"value": 0.75, "se_questions": 0.1, "se_samples": 0.2, "ci95": [0.5, 1.0]}
    shares = {"mean_tokens": 4.0, "truncated_share": 0.0, "no_answer_share": 0.25}
    protocol = {"name": "avg2", "temperature": 0.6}
    counts = {"questions": 2, "samples": 2, "protocol": protocol, "protocol_digest": "abcd1234"}
    scores = {"subject": "run", **counts, "metrics": {"avg@2": estimate}, **shares}
    (folder / "scores.json").write_text(json.dumps(scores))
    names = {"question_id": ["q1", "q1", "q2", "q2"], "sample": [0, 1, 0, 1]}
    responses = {"response": ["one", "two", "x" * 5000, "four"], "tokens": [1, 2, 3, 4]}
    pq.write_table(pa.table({**names, **responses}), folder / "samples.parquet")
    verdicts = {"correct": [True, True, False, True], "status": ["ok", "ok", "no_answer", "ok"]}
    pq.write_table(
        pa.table({**names, **verdicts, "extracted": ["1", "1", None, "4"]}), folder / "verdicts.parquet"
    )
