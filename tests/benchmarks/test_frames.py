"""The frames benchmark makes runs that are read, and states what it measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.results import frames
from benchmarks import frames as benchmark
from benchmarks.frames_store import STEPS, grow
from prefix_rft.runs.store import Store


def test_the_runs_are_such_as_training_and_evaluation_leave(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    grow(store, 3, tmp_path)
    grow(store, 5, tmp_path)
    found = frames(store)
    assert found.runs["status"].tolist() == ["done"] * 5
    assert len(found.curves) == 5 * STEPS
    assert found.scores["run_id"].nunique() == 5


def loads(without: float, again: float) -> dict[str, Any]:
    common = {"imports": 1.0, "cpu": 2.0, "peak_mb": 100.0}
    return {"without": common | {"wall": without}, "again": common | {"wall": again}}


def test_a_ratio_is_that_of_the_same_repetition() -> None:
    found = benchmark._ratio(500, "again", [loads(6.0, 2.0), loads(8.0, 1.0), loads(5.0, 1.0)])
    assert (found.low, found.median, found.high, found.repetitions) == (3.0, 5.0, 8.0, 3)
    assert found.setting == {"runs": 500}


def test_every_kind_of_load_is_measured_and_written_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark.main(["--small", "--results", str(tmp_path)])
    (file,) = tmp_path.iterdir()
    found = json.loads(file.read_text())["benchmarks"]["frames"]
    kinds = ["without", "first", "again", "changed"]
    assert [(row["runs"], row["load"], row["repetitions"]) for row in found["rows"]] == [
        (3, kind, 1) for kind in kinds
    ]
    assert all(0 < row["low"] <= row["wall"] <= row["high"] for row in found["rows"])
    assert len(found["ratios"]) == 3
    assert f"written to {file}" in capsys.readouterr().out
