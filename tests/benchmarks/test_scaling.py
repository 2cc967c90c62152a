"""Exponents and phases of the scaling benchmark."""

from __future__ import annotations

import pytest

from benchmarks import scaling
from benchmarks.scaling import slope, summary
from benchmarks.scaling_step import PHASES, Point, Stepper, Taken


def stated(seconds: float) -> Taken:
    """A step that says it took so long, an equal part in each phase."""
    return Taken(dict.fromkeys(PHASES, seconds / len(PHASES)), cpu=seconds)


def test_a_slope_is_the_exponent_of_a_power_law() -> None:
    assert slope([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)
    assert slope([8, 16], [5, 5]) == pytest.approx(0)


def test_exponents_are_taken_of_each_repetition_and_held_against_the_operations() -> None:
    points = [Point(questions=n) for n in (8, 16, 32)]
    linear, quadratic = [1.0, 2.0, 4.0], [1.0, 4.0, 16.0]
    steps = [
        (p, [stated(a), stated(a), stated(b)]) for p, a, b in zip(points, linear, quadratic, strict=True)
    ]
    found = summary({1: {"questions": steps}})
    (ratio,) = found.ratios
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((1.0, 1.0, 2.0))
    assert (ratio.target, ratio.repetitions) == (1.0, 3)
    fit = found.rows[-1]
    assert (fit["kind"], fit["exponent"], fit["last"], fit["grade"]) == ("fit", *(pytest.approx(1.0),) * 3)
    assert [row["seconds"] for row in found.rows[:-1]] == pytest.approx([1.0, 2.0, 4.0])


@pytest.mark.parametrize(("power", "met"), [(1.5, False), (0.9, True)])
def test_a_curve_steeper_than_its_operations_is_missed(power: float, met: bool) -> None:
    steps = [(Point(questions=n), [stated(n**power)] * 5) for n in (8, 16)]
    (ratio,) = summary({1: {"questions": steps}}).ratios
    assert (ratio.median, ratio.met) == (pytest.approx(power), met)


def test_the_gain_of_threads_is_at_the_most_questions() -> None:
    def curve(seconds: float) -> dict[str, list[tuple[Point, list[Taken]]]]:
        return {"questions": [(Point(questions=n), [stated(seconds * n)] * 5) for n in (8, 16)]}

    *_, gain = summary({1: curve(3.0), 2: curve(2.0)}).ratios
    assert (gain.median, gain.setting) == (pytest.approx(1.5), {"threads": 2, "questions": 16})


def test_operations_grow_with_rows_linearly_and_with_length_a_little_more() -> None:
    def exponent(**varied: list[int]) -> float:
        ((name, values),) = varied.items()
        points = [Point(**{name: value}) for value in values]
        return slope([p.tokens for p in points], [p.operations(11) for p in points])

    assert exponent(questions=[8, 128]) == exponent(rollouts=[2, 32]) == pytest.approx(1)
    # From 512 tokens on, prompts hardly count and attention is more than the weights' products.
    assert 1.3 < exponent(response=[512, 4096]) < 2


def test_operations_of_one_row_by_hand() -> None:
    # 2 layers: 4 * 8^2 + 3 * 8 * 16 = 640 a token, attention 2 * 8 * (16 + 1) / 2 = 136; the head 2 * 11 * 8.
    assert Point(1, 1, 2, 8).operations(11) == 16 * 2 * (640 + 136) + 2 * 11 * 8


def test_a_step_has_the_asked_tokens_and_takes_time_in_every_phase() -> None:
    stepper = Stepper(Point(questions=2, rollouts=2, response=8, width=16))
    for taken in (stepper.step(), stepper.step()):
        assert set(taken.phases) == set(PHASES)
        assert all(seconds > 0 for seconds in taken.phases.values())


def test_the_small_benchmark_has_every_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "in_process", lambda function, *arguments, threads: function(*arguments))
    asked = scaling.parser().parse_args(["--small", "--threads", "1", "--repetitions", "1"])
    found = scaling.measure(asked)
    points = [row for row in found.rows if row["kind"] == "point"]
    assert [(row["curve"], row["value"]) for row in points] == [
        (curve, value) for curve, values in scaling._SMALL.items() for value in values
    ]
    assert len(scaling.table(found).splitlines()) == 1 + 8 + 2 + 4
