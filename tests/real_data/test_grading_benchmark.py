"""The grading benchmark on a few problems: it measures the same responses twice and writes what it found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import grading
from benchmarks.grading_work import make_work


def test_responses_graded_together_and_alone_have_the_same_verdicts(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [
        "--problems",
        "12",
        "--samples",
        "4",
        "--alone",
        "20",
        "--workers",
        "1",
        "--results",
        str(tmp_path),
    ]
    grading.main([*few, "--data", str(shared_data), "--lighteval", str(tmp_path / "absent")])
    assert "lighteval: not measured" in capsys.readouterr().out
    (file,) = tmp_path.glob("*.json")
    found = json.loads(file.read_text())
    assert found["work"] == {"problems": 12, "samples": 4}
    assert found["verdicts_that_differ_alone"] == 0
    assert [row["processes"] for row in found["rows"]] == [1, 1]


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
