"""Decode steps a second: counted by hand from stated times, and with rows that do not end."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from benchmarks import decode
from benchmarks.decode import OURS, PEER, TRAINING, WHOLE, Decoding, endless
from benchmarks.stated import Stated
from benchmarks.steps import WARM_UP, Contestant, Cost, Work, take_turns
from benchmarks.task import random_model


def contestant(name: str, *walls: float) -> Contestant:
    found = object.__new__(Contestant)
    found.name, found.costs = name, [Cost(wall, wall, 600, decode_steps=300) for wall in walls]
    return found


def test_speeds_and_ratios_are_those_of_every_turn() -> None:
    field = [contestant(PEER, 0.5, 1.0, 2.4), contestant(OURS["float32"], 0.25, 0.1, 0.12)]
    setting = {"part": "decode", "work": WHOLE, "batch": 128, "threads": 2}
    over, speed = decode._ratios(field, setting)
    assert (over.low, over.median, over.high) == pytest.approx((2.0, 10.0, 20.0))
    assert (over.against, over.target) == (PEER, None)
    assert (speed.low, speed.median, speed.high) == pytest.approx((1200, 2500, 3000))
    assert (speed.target, speed.met) == (2000, True)
    line = decode._row(field[1], setting)
    assert (line["steps_per_second"], line["tokens_per_second"]) == pytest.approx((2500, 5000))
    assert line["repetitions"] == 3


@pytest.mark.parametrize(("batch", "threads"), [(128, 1), (64, 2)])
def test_the_target_is_that_of_batch_128_on_2_threads(batch: int, threads: int) -> None:
    field = [contestant(PEER, 0.5), contestant(OURS["float32"], 0.1), contestant(OURS["bfloat16"], 1.0)]
    setting = {"part": "decode", "work": TRAINING, "batch": batch, "threads": threads}
    ratios = decode._ratios(field, setting)
    assert [ratio.target for ratio in ratios] == [None] * 3
    assert [ratio.median for ratio in ratios] == pytest.approx([5, 0.5, 3000])


def test_a_batch_that_stays_whole_has_prompts_of_one_length_and_no_row_ends(tmp_path: Path) -> None:
    model = random_model(tmp_path / "model", max_new=32)
    lasting = endless(model, tmp_path / "endless")
    assert json.loads((model / "config.json").read_text())["eos_token_id"] is not None
    work = Work(lasting, questions=6, rollouts=1, max_new=32, learning_rate=0.0, threads=1)
    prompts = decode._prompts(work)
    assert len({tuple(prompt) for prompt in prompts}) == 6
    assert len({len(prompt) for prompt in prompts}) == 1
    (ours,) = take_turns({"ours": partial(decode._ours, dtype="float32")}, work, 1)
    assert ours.costs[0].tokens == decode._CALLS * 6 * 32
    assert ours.costs[0].decode_steps == decode._CALLS * 32


def test_in_training_a_question_has_several_rollouts(tmp_path: Path) -> None:
    work = Work(random_model(tmp_path / "model", 32), 3, 2, 32, 0.0, 1)
    prompts = decode._prompts(work)
    assert prompts[0] == prompts[1] != prompts[2]
    assert len(prompts) == 6


def test_both_works_are_measured_on_every_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "_ours", Stated(0.1, WARM_UP))
    asked = Decoding(random_model(tmp_path / "model", 32), 2, 2, 32, [1, 2], ["float32"], 2)
    found = decode.measure(asked, tmp_path, Stated(0.3, WARM_UP))
    assert [(line["threads"], line["work"], line["name"]) for line in found.rows] == [
        (threads, name, who)
        for threads in (1, 2)
        for name in (WHOLE, TRAINING)
        for who in (PEER, OURS["float32"])
    ]
    assert found.rows[1]["steps_per_second"] == pytest.approx(32 / 0.1)
    assert [ratio.median for ratio in found.ratios] == pytest.approx([3.0, 320.0] * 4)
