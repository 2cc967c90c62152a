"""Schedules: golden values, hand-computed ones, and the range of every draw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.schedule import decayed, draw_share, low_end
from prefix_rft.settings.schedule import (
    ConstantPrefix,
    CosinePrefix,
    LinearPrefix,
    PrefixSchedule,
    UniformPrefix,
)

GOLDEN = Path(__file__).parents[1] / "fixtures/golden/schedule.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())
SETTINGS: dict[str, type[CosinePrefix | LinearPrefix]] = {
    "cosine_decay": CosinePrefix,
    "linear_decay": LinearPrefix,
}


def _settings(case: dict[str, Any]) -> PrefixSchedule:
    if case["kind"] == "const":
        return ConstantPrefix(share=case["init"])
    return SETTINGS[case["kind"]](
        high=1.0, start=case["init"], end=case["target"], warmup_fraction=case["warmup_ratio"]
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']}-{case['n_steps']}")
def test_the_settings_reproduce_the_reference(case: dict[str, Any]) -> None:
    schedule = _settings(case)
    values = [low_end(schedule, step, case["n_steps"]) for step in case["steps"]]
    np.testing.assert_allclose(values, case["values"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.95), (50, 0.5), (100, 0.05), (150, 0.05)])
def test_the_papers_cosine_at_its_ends_and_middle(step: int, expected: float) -> None:
    assert low_end(CosinePrefix(), step, 100) == pytest.approx(expected, abs=1e-12)


def test_a_quarter_of_a_linear_fall() -> None:
    assert decayed("linear", 1.0, 0.2, step=25, steps=100) == pytest.approx(0.8)


def test_warm_up_rises_from_nothing_and_then_the_fall_begins() -> None:
    schedule = LinearPrefix(start=0.8, end=0.0, warmup_fraction=0.1)
    values = [low_end(schedule, step, 100) for step in (0, 5, 10, 60, 110)]
    assert values == pytest.approx([0.0, 0.4, 0.8, 0.4, 0.0])


def test_a_delay_holds_the_first_value() -> None:
    schedule = LinearPrefix(start=0.8, end=0.0, delay_steps=20)
    values = [low_end(schedule, step, 100) for step in (0, 20, 70)]
    assert values == pytest.approx([0.8, 0.8, 0.4])


def test_the_fall_can_take_a_share_of_the_run() -> None:
    schedule = LinearPrefix(start=0.8, end=0.0, decay_fraction=0.5)
    assert [low_end(schedule, step, 100) for step in (25, 50, 99)] == pytest.approx([0.4, 0.0, 0.0])


def test_warm_up_steps_survive_binary_fractions() -> None:
    schedule = LinearPrefix(start=0.8, end=0.0, warmup_fraction=0.29)
    assert low_end(schedule, 29, 100) == pytest.approx(0.8)
    assert low_end(schedule, 28, 100) == pytest.approx(0.8 * 28 / 29)


def test_uniform_stays() -> None:
    assert {low_end(UniformPrefix(), step, 100) for step in range(0, 200, 7)} == {0.05}


def test_a_constant_share_is_drawn_as_it_is() -> None:
    assert draw_share(ConstantPrefix(share=0.3), 7, 100, np.random.default_rng(0)) == 0.3


@given(
    kind=st.sampled_from([CosinePrefix, LinearPrefix]),
    step=st.integers(0, 300),
    delay=st.integers(0, 30),
    warmup=st.floats(0, 0.9),
    seed=st.integers(0, 2**32),
)
def test_every_draw_lies_between_the_lower_end_and_high(
    kind: type[CosinePrefix | LinearPrefix], step: int, delay: int, warmup: float, seed: int
) -> None:
    schedule = kind(delay_steps=delay, warmup_fraction=warmup, beta_a=0.5, beta_b=2.0)
    low = low_end(schedule, step, 200)
    assert 0.0 <= low <= schedule.start
    assert low <= draw_share(schedule, step, 200, np.random.default_rng(seed)) <= schedule.high + 1e-12


def test_the_beta_distribution_is_mapped_onto_the_range() -> None:
    schedule = UniformPrefix(low=0.2, high=0.6, beta_a=2.0, beta_b=6.0)
    rng = np.random.default_rng(0)
    draws = np.array([draw_share(schedule, 0, 1, rng) for _ in range(20_000)])
    assert draws.mean() == pytest.approx(0.2 + 0.4 * 2 / 8, abs=0.003)
    assert draws.std() == pytest.approx(0.4 * (2 * 6 / (8**2 * 9)) ** 0.5, abs=0.003)
