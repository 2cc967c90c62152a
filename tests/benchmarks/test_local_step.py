"""The step benchmark's own arithmetic and files; TRL itself is played only where it is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import local_step
from benchmarks.local_step import ALL, HALF, PEER, SKIPPED, against_the_peer, contestants, row, table
from benchmarks.measured import Measured
from benchmarks.stated import Stated
from benchmarks.steps import WARM_UP, ContestantDiedError, Work, take_turns
from benchmarks.task import random_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return random_model(tmp_path / "model", max_new=32)


def work_of(model: Path, questions: int = 2, threads: int = 1) -> Work:
    return Work(model, questions=questions, rollouts=4, max_new=32, learning_rate=1e-3, threads=threads)


def asked(*options: str) -> Any:
    return local_step.parser().parse_args(options)


def test_a_ratio_is_the_peers_seconds_over_ours_turn_by_turn_without_the_warm_up() -> None:
    plays = {PEER: Stated(0.3, WARM_UP), ALL: Stated(0.08, WARM_UP), SKIPPED: Stated(0.1, WARM_UP)}
    work = work_of(Path(), questions=16)
    found = take_turns(plays, work, repetitions=3)
    peer, ours, _ = (row(contestant, work) for contestant in found)
    assert (peer["wall"], peer["cpu"], ours["wall"], ours["tokens"]) == (0.3, 0.15, 0.08, 160)
    assert 10 < ours["peak_mb"] < 2000
    by_clock, by_processor, skipped, _ = against_the_peer(found, work)
    assert (by_clock.median, by_clock.low, by_clock.high) == pytest.approx((3.75, 3.75, 3.75))
    assert (by_clock.repetitions, by_clock.against, by_clock.target, by_clock.met) == (3, "TRL", 3.0, True)
    assert (by_processor.median, by_processor.target) == (pytest.approx(3.75), None)
    assert (skipped.median, skipped.target, skipped.met) == (pytest.approx(3.0), 4.0, False)


def test_targets_belong_to_16_and_64_questions_on_1_and_2_threads() -> None:
    found = take_turns({PEER: Stated(0.3, WARM_UP), ALL: Stated(0.1, WARM_UP)}, work_of(Path()), 1)
    aimed = {
        (questions, threads)
        for questions in (2, 16, 64)
        for threads in (1, 2, 3)
        if against_the_peer(found, work_of(Path(), questions, threads))[0].target == 3.0
    }
    assert aimed == {(16, 1), (16, 2), (64, 1), (64, 2)}


def test_without_a_peer_there_are_figures_and_no_ratio() -> None:
    found = take_turns({ALL: Stated(0.1, WARM_UP)}, work_of(Path()), 2)
    assert against_the_peer(found, work_of(Path())) == []
    assert row(found[0], work_of(Path()))["repetitions"] == 2


def test_without_trl_the_benchmark_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_step, "find_spec", lambda name: None)
    assert list(contestants(asked(), with_half=True)) == [ALL, SKIPPED, HALF]
    assert "pip install -e '.[bench]'" in local_step._notes(asked())[0]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), [ALL, SKIPPED, HALF]),
        (("--skip-zero-rows", "on"), [SKIPPED, HALF]),
        (("--dtypes", "float32", "--skip-zero-rows", "off"), [ALL]),
        (("--dtypes", "bfloat16"), [HALF]),
    ],
)
def test_contestants_are_those_asked_for(
    options: tuple[str, ...], names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_step, "find_spec", lambda name: object())
    assert list(contestants(asked(*options), with_half=True)) == [PEER, *names]
    assert HALF not in contestants(asked(*options), with_half=False)


def test_a_contestant_that_dies_ends_the_benchmark_and_the_others() -> None:
    plays = {PEER: Stated(0.1, WARM_UP), "ours": contestants(asked("--small"), with_half=False)[SKIPPED]}
    with pytest.raises(ContestantDiedError, match="ours died with exit code 1"):
        take_turns(plays, work_of(Path("/no/such/model")), 1)


def test_our_steps_tell_their_phases_which_sum_to_the_step(model: Path) -> None:
    play = contestants(asked("--small", "--skip-zero-rows", "off"), with_half=False)[ALL]
    (found,) = take_turns({ALL: play}, work_of(model), 2)
    for cost in found.costs:
        assert sum(cost.phases.values()) == pytest.approx(cost.wall)
        assert all(seconds > 0 for seconds in cost.phases.values())
        assert 8 <= cost.tokens <= 2 * 4 * 32
        assert 1 <= cost.decode_steps <= 32 + 16
    assert row(found, work_of(model))["path"] == "fast"


@pytest.mark.slow
def test_the_small_size_measures_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local_step.main(["--small", "--results", str(tmp_path)])
    (file,) = tmp_path.iterdir()
    found = json.loads(file.read_text())["benchmarks"]["local_step"]
    assert [(line["part"], line["name"]) for line in found["rows"]] == [
        ("step", PEER), ("step", ALL), ("step", SKIPPED),
        *[("decode", "transformers generate"), ("decode", "ours, float32")] * 2,
    ]  # fmt: skip
    assert found["notes"] == [local_step.STATED]
    said = capsys.readouterr().out
    assert said.count(ALL) == 2  # its seconds, and these by phase
    assert "as in training" in said


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed (pip install -e .[bench])"
)
def test_trl_itself_and_bfloat16_take_their_turns(model: Path, tmp_path: Path) -> None:
    options = ["--questions", "2", "--threads", "1", "--steps", "1", "--decode-questions", "1"]
    more = ["--decode-repetitions", "1", "--model", str(model), "--results", str(tmp_path / "results")]
    local_step.main([*options, *more])
    (file,) = (tmp_path / "results").iterdir()
    found = json.loads(file.read_text())["benchmarks"]["local_step"]
    assert [line["name"] for line in found["rows"]][:4] == [PEER, ALL, SKIPPED, HALF]
    assert {ratio["against"] for ratio in found["ratios"]} == {
        PEER,
        "transformers generate",
        "the figure aimed at",
    }
    assert all(ratio["median"] > 0 for ratio in found["ratios"])
    assert found["notes"] == []


def test_the_table_has_a_line_a_row() -> None:
    step = {
        "part": "step", "name": PEER, "questions": 16, "threads": 1, "repetitions": 12, "wall": 0.3, "low": 0.2,
        "high": 0.4, "cpu": 0.2, "tokens": 3000.0, "peak_mb": 650.0, "path": "", "phases": {},
    }  # fmt: skip
    ours = step | {"name": ALL, "path": "fast", "phases": {"generate": 0.1, "other": 0.2}}
    lines = table(Measured([step, ours])).splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "rollout step",
        PEER,
        ALL,
        "",
        "seconds by phase",
        ALL,
        "",
        "decode",
    ]
    assert lines[5].split()[-2:] == ["0.1000", "0.2000"]
