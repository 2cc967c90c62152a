"""The grading benchmark on a few problems: it measures the same responses twice and writes what it found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import grading
from benchmarks.grading_work import make_work


@pytest.mark.slow
def test_responses_graded_together_and_alone_have_the_same_verdicts(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--problems", "12", "--samples", "4", "--alone", "20", "--workers", "1", "--figure-problems", "4"]
    places = ["--data", str(shared_data), "--lighteval", str(tmp_path / "absent"), "--results", str(tmp_path)]
    grading.main([*few, "--repetitions", "2", *places])
    assert "lighteval was not measured: " in capsys.readouterr().out
    (file,) = tmp_path.glob("*.json")
    found = json.loads(file.read_text())["benchmarks"]["grading"]
    assert (found["asked"]["problems"], found["asked"]["samples"], found["asked"]["data"]) == (
        12,
        4,
        shared_data.name,
    )
    assert found["notes"][1].startswith("0 verdicts differ")
    sizes = [(row["name"], row["problems"], row["samples"]) for row in found["rows"]]
    assert sizes == [
        ("math-verify in a loop", 12, 4), ("ours", 12, 4), ("ours, figures", 4, 4), ("ours, one at a time", 20, 1),
    ]  # fmt: skip


def test_the_whole_work_is_1590_problems_with_about_five_answers_each(shared_data: Path) -> None:
    work = make_work(shared_data, samples=32)
    assert len(work.gold_Q) == 1590
    assert len(work.pairs) == 1590 * 32
    endings = [
        len({text.rpartition("\\boxed")[2] for text in texts if "\\boxed" in text})
        for texts in work.response_QS
    ]
    assert 3 < sum(endings) / len(endings) < 6
    assert make_work(shared_data, samples=2) == make_work(shared_data, samples=2)
