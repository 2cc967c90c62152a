"""How the local step's time grows with questions, rollouts, response length, width and threads.

    python -m benchmarks.scaling --threads 1 2

One thing is varied at a time. A curve's exponent is the slope of log seconds against log tokens (against log width for
the width): 1 is linear. Beside it stands the exponent of the operations that the model's work consists of, which is 1
for questions and rollouts; for the response length it holds attention's quadratic part.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks import harness
from benchmarks.measured import Measured, Ratio
from benchmarks.process import in_process
from benchmarks.scaling_step import PHASES, Point, Taken

NAME = "scaling"
WARM_UP = 2
"""Steps of each point that do not count."""
CURVES = {
    "questions": ("tokens", [8, 16, 32, 64, 128]),
    "rollouts": ("tokens", [2, 4, 8, 16, 32]),
    "response": ("tokens", [16, 32, 64, 128, 256]),
    "width": ("width", [32, 64, 128, 256]),
}
"""What is varied, what its time is held against, and the values."""
_SHARING = ("rollouts", "response")
"""Curves along which rows share more or fewer of their tokens, which the counted operations do not know: no target."""
_SMALL = {"questions": [2, 4], "rollouts": [2, 4], "response": [4, 8], "width": [16, 32]}
_VOCABULARY = 11
"""Of the embedded task."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = harness.parser(__doc__)
    for name, (_, values) in CURVES.items():
        found.add_argument(f"--{name}", type=int, nargs="+", default=values, help="at least two values")
    found.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    found.add_argument("--repetitions", type=int, default=5, help="counted steps of each point")
    return found


def measure(asked: argparse.Namespace) -> Measured:
    """All curves with each number of threads, in a process each."""
    taken = {
        threads: in_process(_measure_here, curves(asked), asked.repetitions, threads=threads)
        for threads in asked.threads
    }
    return summary(taken)


def curves(asked: argparse.Namespace) -> dict[str, list[Point]]:
    """The points of each curve."""
    values = _SMALL if asked.small else {name: getattr(asked, name) for name in CURVES}
    base = Point(2, 2, 4, 16) if asked.small else Point()
    return {name: [replace(base, **{name: value}) for value in values[name]] for name in CURVES}


Steps = dict[str, list[tuple[Point, list[Taken]]]]
"""By curve: its points and the counted steps of each."""


def summary(taken: dict[int, Steps]) -> Measured:
    """Rows, exponents and what two threads gain.

    Args:
        taken: by number of threads.
    """
    rows, ratios = [], []
    for threads, steps in taken.items():
        for curve, points in steps.items():
            rows += [_row(curve, threads, point, found) for point, found in points]
            ratios.append(_exponent(curve, threads, points))
            rows.append(_fit(curve, threads, points))
    return Measured(rows, ratios + _gains(taken), [_NOTE])


def table(measured: Measured) -> str:
    """The points, then the exponents, as text."""
    heads = ("threads", "curve", "value", "tokens", "ms/step", *PHASES)
    lines = ["".join(f"{head:>10}" for head in heads) + "   (share of the step)"]
    lines += [_point_line(row) for row in measured.rows if row["kind"] == "point"]
    lines += ["", f"{'threads':>10}{'curve':>10}   exponent (spread)        operations'   last doubling"]
    fits = [row for row in measured.rows if row["kind"] == "fit"]
    lines += [
        f"{row['threads']:10}{row['curve']:>10}   {row['exponent']:.2f} ({row['low']:.2f} to {row['high']:.2f}) "
        f"against {row['against']:7} {row['operations']:.2f}   {row['last']:.2f}"
        for row in fits
    ]
    gains = [ratio for ratio in measured.ratios if ratio.against == "1 thread"]
    lines += [f"{gain.what}, {gain.setting}: {gain.median:.2f}" for gain in gains]
    return "\n".join(lines)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Exponent of the power law through these points: the least-squares line of their logarithms."""
    return statistics.linear_regression([math.log(v) for v in x], [math.log(v) for v in y]).slope


_NOTE = (
    "scaling: weights are random and responses never end, so every row has its full length; rows of zero weight are "
    "updated like all others. A fixed cost of every call lifts the short end, so a fit over all points lies below the "
    "exponent of the operations; the last doubling says how it ends."
)


def _measure_here(asked: dict[str, list[Point]], repetitions: int) -> Steps:
    """A curve's points take their steps in turn, so that other load on the machine meets them alike."""
    from benchmarks.scaling_step import Stepper

    found: Steps = {}
    for curve, points in asked.items():
        steppers = [Stepper(point) for point in points]
        rounds = [[stepper.step() for stepper in steppers] for _ in range(WARM_UP + repetitions)]
        found[curve] = [(point, [taken[i] for taken in rounds[WARM_UP:]]) for i, point in enumerate(points)]
    return found


def _row(curve: str, threads: int, point: Point, steps: list[Taken]) -> dict[str, Any]:
    walls = [taken.wall for taken in steps]
    return {
        "kind": "point", "curve": curve, "value": getattr(point, curve), "threads": threads, "tokens": point.tokens,
        "seconds": statistics.median(walls), "low": min(walls), "high": max(walls),
        "cpu": statistics.median(taken.cpu for taken in steps), "repetitions": len(steps),
        **{name: statistics.median(taken.phases[name] for taken in steps) for name in PHASES},
    }  # fmt: skip


def _fit(curve: str, threads: int, points: list[tuple[Point, list[Taken]]]) -> dict[str, Any]:
    """Exponents of the whole step, of its operations, of the last two points, and of each phase."""
    x = _against(curve, points)
    each = _slopes(x, points, lambda taken: taken.wall)
    phases = {name: statistics.median(_slopes(x, points, lambda t, n=name: t.phases[n])) for name in PHASES}  # type: ignore[misc]
    return {
        "kind": "fit", "curve": curve, "threads": threads, "against": CURVES[curve][0],
        "exponent": statistics.median(each), "low": min(each), "high": max(each), "repetitions": len(each),
        "operations": slope(x, [point.operations(_VOCABULARY) for point, _ in points]),
        "last": statistics.median(_slopes(x[-2:], points[-2:], lambda taken: taken.wall)),
        **phases,
    }  # fmt: skip


def _exponent(curve: str, threads: int, points: list[tuple[Point, list[Taken]]]) -> Ratio:
    """Of each repetition; held against what the operations would need."""
    x = _against(curve, points)
    operations = slope(x, [point.operations(_VOCABULARY) for point, _ in points])
    return Ratio.of(
        f"exponent of seconds over {CURVES[curve][0]}", "exponent of the operations",
        {"curve": curve, "threads": threads}, _slopes(x, points, lambda taken: taken.wall),
        target=None if curve in _SHARING else round(operations, 3), better="lower",
    )  # fmt: skip


def _gains(taken: dict[int, Steps]) -> list[Ratio]:
    """One thread's seconds over those of more threads, at the largest number of questions."""
    if 1 not in taken or "questions" not in taken[1]:
        return []
    point, alone = taken[1]["questions"][-1]
    return [
        Ratio.of(
            f"1 thread's seconds over those of {threads}", "1 thread",
            {"threads": threads, "questions": point.questions},
            [one.wall / more.wall for one, more in zip(alone, steps["questions"][-1][1], strict=True)],
        )
        for threads, steps in taken.items() if threads != 1
    ]  # fmt: skip


def _against(curve: str, points: list[tuple[Point, list[Taken]]]) -> list[float]:
    return [float(getattr(point, CURVES[curve][0])) for point, _ in points]


def _slopes(
    x: list[float], points: list[tuple[Point, list[Taken]]], seconds: Callable[[Taken], float]
) -> list[float]:
    """The exponent of each repetition."""
    repetitions = zip(*(steps for _, steps in points), strict=True)
    return [slope(x, [seconds(taken) for taken in repetition]) for repetition in repetitions]


def _point_line(row: dict[str, Any]) -> str:
    shares = "".join(f"{row[name] / row['seconds']:10.0%}" for name in PHASES)
    size = f"{row['threads']:10}{row['curve']:>10}{row['value']:10}{row['tokens']:10}"
    return f"{size}{row['seconds'] * 1e3:10.1f}{shares}"


if __name__ == "__main__":
    harness.alone(NAME, parser(), measure, table)
