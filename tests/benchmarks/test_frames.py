"""The frames benchmark makes runs that are read, and states what it measured."""

from __future__ import annotations

import json

from analysis.results import frames
from benchmarks import frames as benchmark
from benchmarks.frames_store import STEPS, grow
from prefix_rft.runs.store import Store


def test_the_runs_are_such_as_training_and_evaluation_leave(tmp_path):
    store = Store(tmp_path / "runs")
    grow(store, 3, tmp_path)
    grow(store, 5, tmp_path)
    found = frames(store)
    assert found.runs["status"].tolist() == ["done"] * 5
    assert len(found.curves) == 5 * STEPS
    assert found.scores["run_id"].nunique() == 5


def test_every_kind_of_load_is_measured_and_written_down(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(benchmark, "CHANGED", 2)
    benchmark.main(["--runs", "3", "--repeats", "1", "--results", str(tmp_path)])
    (file,) = tmp_path.glob("*-frames-*.json")
    rows = json.loads(file.read_text())["rows"]
    assert [(row["load"], row["repeats"]) for row in rows] == [
        ("without", 1),
        ("first", 1),
        ("again", 2),
        ("changed", 1),
    ]
    assert all(0 < row["lowest"] <= row["wall"] <= row["highest"] for row in rows)
    assert f"written to {file}" in capsys.readouterr().out
