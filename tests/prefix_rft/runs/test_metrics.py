"""Rows of metrics: exact, ordered, cut back on resume."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefix_rft.errors import RunError, TrainingError
from prefix_rft.runs.metrics import MetricsWriter, read_metrics


def _steps(path: Path) -> list[tuple[int, str]]:
    return [(row["step"], row["kind"]) for row in read_metrics(path)]


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path)
    writer.append(1, "train", {"reward": 0.1 + 0.2, "loss": None})
    writer.append(1, "validation", {"validation/accuracy": 1 / 3})
    assert read_metrics(tmp_path) == [
        {"step": 1, "kind": "train", "reward": 0.30000000000000004, "loss": None},
        {"step": 1, "kind": "validation", "validation/accuracy": 1 / 3},
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused_by_name_and_step(tmp_path: Path, value: float) -> None:
    writer = MetricsWriter(tmp_path)
    with pytest.raises(TrainingError, match=f"step 7, train row: grad_norm={value} is not finite"):
        writer.append(7, "train", {"loss": 1.0, "grad_norm": value})
    assert read_metrics(tmp_path) == []
    assert not writer.has(7, "train")


def test_a_resumed_run_cuts_back_to_its_checkpoint(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path)
    for step in (1, 2, 3, 4):
        writer.append(step, "train", {"reward": step / 7})
    before = (tmp_path / "metrics.jsonl").read_bytes()
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 5, "ki')
    again = MetricsWriter(tmp_path)
    assert again.truncate_after(2) == 2
    assert _steps(tmp_path) == [(1, "train"), (2, "train")]
    for step in (3, 4):
        again.append(step, "train", {"reward": step / 7})
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_cutting_back_to_the_start_leaves_nothing(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path)
    assert writer.truncate_after(0) == 0
    writer.append(1, "train", {})
    assert writer.truncate_after(0) == 1
    writer.append(1, "train", {})
    assert _steps(tmp_path) == [(1, "train")]


@pytest.mark.parametrize(("step", "kind"), [(3, "train"), (2, "validation")])
def test_a_row_that_does_not_follow_is_refused(tmp_path: Path, step: int, kind: str) -> None:
    MetricsWriter(tmp_path).append(3, "train", {})
    with pytest.raises(TrainingError, match="already holds rows up to step 3"):
        MetricsWriter(tmp_path).append(step, kind, {})
    assert MetricsWriter(tmp_path).has(3, "train")


def test_a_row_without_a_step_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"reward": 1}\n')
    with pytest.raises(RunError, match="a row without a step"):
        MetricsWriter(tmp_path).append(1, "train", {})


def test_a_full_disk_while_cutting_back_loses_nothing(small_disk: Path) -> None:
    writer = MetricsWriter(small_disk)
    writer.append(1, "train", {"note": "x" * 100_000})
    writer.append(2, "train", {})
    before = (small_disk / "metrics.jsonl").read_bytes()
    (small_disk / "filler").write_bytes(bytes(120_000))
    with pytest.raises(RunError, match="No space left on device"):
        writer.truncate_after(1)
    assert (small_disk / "metrics.jsonl").read_bytes() == before
