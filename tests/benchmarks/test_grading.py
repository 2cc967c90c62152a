"""The grading benchmark on made-up problems: the same responses for everybody, and figures worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import grading
from benchmarks.grading_ours import Cost, figures_by_us
from benchmarks.grading_peers import by_lighteval, by_math_verify, lighteval_at
from benchmarks.grading_work import Work, made_up
from benchmarks.measured import CannotRunError

WORK = Work(
    ["3", r"\frac{1}{2}"], [[r"So \boxed{3}$.", "cut"], [r"$\boxed{0.5}$.", r"$\boxed{\frac{2}{4}}$."]]
)
RIGHT_BOXES = Work(["3", "5"], [[r"$\boxed{3}$.", r"$\boxed{4}$."], [r"$\boxed{5}$.", r"$\boxed{5}$."]])


def test_parts_deal_the_problems_and_lose_none() -> None:
    work = made_up(7, 3)
    parts = work.parts(3)
    assert [len(part.gold_Q) for part in parts] == [3, 2, 2]
    assert sorted(pair for part in parts for pair in part.pairs) == sorted(work.pairs)
    assert parts[1].gold_Q == [work.gold_Q[1], work.gold_Q[4]]
    assert work.some(3).gold_Q == [work.gold_Q[0], work.gold_Q[2], work.gold_Q[4]]


def test_costs_of_parts_add_up_and_shares_weigh_by_problems() -> None:
    first = Cost("a", 3, 2, 1, 1.0, 2.0, 0.5, 1, {"pass@2": 1.0})
    second = Cost("a", 1, 2, 1, 0.5, 0.25, 0.1, 0, {"pass@2": 0.0})
    both = Cost.sum([first, second])
    assert (both.problems, both.wall, both.cpu, both.timeouts) == (4, 1.5, 2.25, 1)
    assert (both.correct, both.figures) == (pytest.approx(0.4), {"pass@2": 0.75})


def test_ratios_are_the_peers_seconds_over_ours_part_by_part() -> None:
    walls = {"peer": iter([4.0, 9.0, 10.0]), "ours": iter([2.0, 3.0, 1.0])}
    judges = {
        name: lambda part, name=name: Cost(name, *part.size, 1, next(walls[name]), 1.0, 0.5) for name in walls
    }
    found = grading._measured("grading", judges, made_up(9, 2).parts(3))
    by_clock, by_processor = found.ratios
    assert (by_clock.low, by_clock.median, by_clock.high, by_clock.repetitions) == (2.0, 3.0, 10.0, 3)
    assert (by_processor.median, by_clock.setting) == (1.0, {"problems": 9, "samples": 2})
    assert [row["wall"] for row in found.rows] == [23.0, 6.0]


def test_math_verify_in_a_loop_grades_them_all() -> None:
    found = by_math_verify(RIGHT_BOXES)
    assert (found.correct, found.problems, found.samples, found.processes) == (0.75, 2, 2, 1)
    assert found.wall > 0


def test_an_evaluations_figures_are_those_of_the_responses() -> None:
    found = figures_by_us(WORK, 1, [1, 2])
    assert found.correct == 0.75
    assert found.figures == pytest.approx({"avg@2": 0.75, "pass@1": 0.75, "pass@2": 1.0})


def test_without_data_the_benchmark_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(grading.VARIABLE, raising=False)
    with pytest.raises(CannotRunError, match="PREFIX_RFT_SHARED_DATA names no folder"):
        grading.measure(grading.parser().parse_args([]))


def test_an_environment_that_is_not_there_is_a_note_with_the_next_step(tmp_path: Path) -> None:
    python, (note,) = lighteval_at(tmp_path / "absent")
    assert python is None
    assert note.startswith("lighteval was not measured: ")
    assert "make lighteval" in note


def test_a_peer_that_fails_is_no_result(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such module >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(RuntimeError, match=r"grading_lighteval.py ended with exit code 3:\nno such module"):
        by_lighteval(WORK, python)


@pytest.mark.slow
def test_the_small_size_measures_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grading.main(["--small", "--results", str(tmp_path)])
    (file,) = tmp_path.iterdir()
    found = json.loads(file.read_text())["benchmarks"]["grading"]
    assert [(row["part"], row["name"], row["problems"]) for row in found["rows"]] == [
        ("grading", "math-verify in a loop", 6), ("grading", "ours", 6), ("figures", "ours, figures", 2),
        ("grading", "ours, one at a time", 4),
    ]  # fmt: skip
    assert found["rows"][1]["correct"] == pytest.approx(found["rows"][0]["correct"])
    assert [ratio["repetitions"] for ratio in found["ratios"]] == [1, 1]
    assert found["notes"][0].startswith("lighteval was left out of this small size")
    assert found["notes"][1].startswith("0 verdicts differ")
    assert "ours, figures: avg@4" in capsys.readouterr().out


@pytest.mark.lighteval
def test_lightevals_figures_are_the_same() -> None:
    python, notes = lighteval_at(None)
    if python is None:
        pytest.skip(notes[0])
    found = by_lighteval(RIGHT_BOXES, python, [1, 2])
    assert found.figures == pytest.approx({"avg@2": 0.75, "pass@1": 0.75, "pass@2": 1.0})
