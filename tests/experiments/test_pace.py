"""Times to go, with numbers worked out by hand."""

from __future__ import annotations

import pytest

from experiments.pace import Forecast, StagePace, clock


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1:00"),
        (125, "2:05"),
        (3600, "1:00:00"),
        (7384, "2:03:04"),
    ],
)
def test_clock(seconds, shown):
    assert clock(seconds) == shown


def test_a_stage_goes_on_as_it_went():
    pace = StagePace()
    pace.see("train", 0, now=10.0)
    assert pace.to_go(60, now=10.0) is None
    pace.see("train", 20, now=20.0)
    assert pace.to_go(60, now=20.0) == 20.0
    pace.see("train", 20, now=25.0)
    assert pace.to_go(60, now=25.0) == 15.0
    assert pace.to_go(60, now=99.0) == 0.0


def test_a_resumed_stage_counts_only_the_steps_it_saw():
    pace = StagePace()
    pace.see("train", 40, now=0.0)
    pace.see("train", 50, now=5.0)
    assert pace.to_go(60, now=5.0) == 5.0


@pytest.mark.parametrize(("stage", "step"), [("evaluate", 50), ("train", 3)])
def test_another_stage_or_a_step_back_starts_a_new_count(stage, step):
    pace = StagePace()
    pace.see("train", 0, now=0.0)
    pace.see("train", 10, now=1.0)
    pace.see(stage, step, now=50.0)
    assert pace.to_go(60, now=50.0) is None
    pace.see(stage, step + 1, now=52.0)
    assert pace.to_go(step + 3, now=52.0) == 4.0


def test_nothing_is_forecast_as_long_as_nothing_is_known():
    assert Forecast(2).to_go(["rft"], {"a": ("rft", None)}, now=3.0) is None


def test_ended_runs_tell_how_long_their_sort_takes():
    """One of 10 s is over, one has worked 4 s of its 10, two more wait: 6 + 10 + 10 seconds for two workers."""
    forecast = Forecast(slots=2)
    forecast.began("a", now=0.0)
    forecast.ended("a", "rft", now=10.0)
    forecast.began("b", now=20.0)
    assert forecast.to_go(["rft", "rft"], {"b": ("rft", None)}, now=24.0) == 13.0


def test_a_running_run_promises_for_its_sort():
    """It has worked 5 s and sees 15 s to go: the two that wait take 20 s each."""
    forecast = Forecast(slots=1)
    forecast.began("a", now=0.0)
    assert forecast.to_go(["rft", "rft"], {"a": ("rft", 15.0)}, now=5.0) == 55.0


def test_an_unknown_sort_takes_as_long_as_the_known_ones_on_average():
    forecast = Forecast(slots=1)
    for name, sort, seconds in (("a", "sft", 4.0), ("b", "rft", 8.0)):
        forecast.began(name, now=0.0)
        forecast.ended(name, sort, now=seconds)
    assert forecast.to_go(["luffy"], {}, now=100.0) == 6.0


def test_many_workers_end_no_sooner_than_the_longest_run():
    forecast = Forecast(slots=8)
    forecast.began("a", now=0.0)
    assert forecast.to_go([], {"a": ("rft", 30.0)}, now=1.0) == 30.0


def test_a_run_that_takes_longer_than_its_sort_goes_by_its_own_stage():
    forecast = Forecast(slots=1)
    forecast.began("a", now=0.0)
    forecast.ended("a", "rft", now=10.0)
    forecast.began("b", now=10.0)
    assert forecast.to_go([], {"b": ("rft", 7.0)}, now=40.0) == 7.0


def test_a_run_that_was_done_before_tells_nothing():
    forecast = Forecast(slots=1)
    forecast.ended("a", "rft", now=10.0)
    assert forecast.to_go(["rft"], {}, now=10.0) is None
