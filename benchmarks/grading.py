"""Seconds of grading 1,590 problems x 32 responses: ours on two processes, math-verify in a plain loop, lighteval.

    PREFIX_RFT_SHARED_DATA=<folder with eval/ and grader/> python -m benchmarks.grading --lighteval .venv-lighteval

All grade the same responses (`benchmarks.grading_work`); imports and the start of processes are left out. The problems
are dealt into as many parts as there are repetitions, and each part is graded by everybody in turn: a ratio is the
median of the parts' ratios, and figures are sums over the parts. Then the same for an evaluation's figures of some
problems (avg@n and pass@k, ours with intervals and stored on disk). Last, a share of the responses is graded again,
each on its own: every verdict must be the same. A small size has made-up problems, and lighteval only where --lighteval
names it, since its import takes a quarter of a minute.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.grading_ours import Cost, alone, by_us, figures_by_us
from benchmarks.grading_peers import by_lighteval, by_math_verify, lighteval_at
from benchmarks.grading_work import Work, made_up, make_work
from benchmarks.measured import CannotRunError, Measured, Ratio

NAME = "grading"
OURS = "ours"
LIGHTEVAL, MATH_VERIFY = "lighteval avg@n", "math-verify in a loop"
OUR_FIGURES, THEIR_FIGURES = "ours, figures", "lighteval, figures"
VARIABLE = "PREFIX_RFT_SHARED_DATA"
SMALL = {"problems": 6, "samples": 4, "repetitions": 1, "workers": 1, "alone": 4, "figure_problems": 2}
Judge = Callable[[Work], Cost]


def measure(asked: argparse.Namespace) -> Measured:
    """Every grader on every part in turn; without lighteval the others, which the notes say.

    Raises:
        CannotRunError: there are no benchmark files and labelled solutions.
    """
    if asked.small:
        vars(asked).update(SMALL)
    work = _work(asked)
    environment, notes = _lighteval(asked)
    judges: dict[str, Judge] = {MATH_VERIFY: by_math_verify}
    if environment is not None:
        judges[LIGHTEVAL] = lambda part: by_lighteval(part, environment)
    judges[OURS] = lambda part: by_us(part, asked.workers)
    found = _measured("grading", judges, work.parts(asked.repetitions))
    if asked.figure_problems:
        few = work.some(asked.figure_problems)
        found = _both(found, _figures(asked, few, environment))
    if asked.alone:
        row, differing = alone(work, asked.alone, asked.workers)
        found.rows.append({"part": "grading", "name": row.name, **row.plain()})
        notes.append(
            f"{differing} verdicts differ when a response is graded on its own, with nothing remembered."
        )
    return Measured(found.rows, found.ratios, notes)


def _work(asked: argparse.Namespace) -> Work:
    if asked.small:
        return made_up(asked.problems, asked.samples)
    if asked.data is None:
        raise CannotRunError(
            f"{VARIABLE} names no folder of benchmark files (eval/, grader/), and --data none either; give one, or see "
            "that it works with --small"
        )
    return make_work(Path(asked.data), asked.samples, asked.problems)


def _lighteval(asked: argparse.Namespace) -> tuple[Path | None, list[str]]:
    if asked.small and asked.lighteval is None:
        return None, ["lighteval was left out of this small size; --lighteval FOLDER takes it in."]
    return lighteval_at(asked.lighteval)


def _figures(asked: argparse.Namespace, work: Work, environment: Path | None) -> Measured:
    ks = sorted({1, min(8, asked.samples), asked.samples})
    judges: dict[str, Judge] = {}
    if environment is not None:
        judges[THEIR_FIGURES] = lambda part: by_lighteval(part, environment, ks)
    judges[OUR_FIGURES] = lambda part: figures_by_us(part, asked.workers, ks)
    return _measured("figures", judges, work.parts(asked.repetitions))


def _measured(part: str, judges: dict[str, Judge], parts: Sequence[Work]) -> Measured:
    """Every judge on every part in turn; the last judge is ours."""
    costs: dict[str, list[Cost]] = {name: [] for name in judges}
    for share in parts:
        for name, judge in judges.items():
            costs[name].append(judge(share))
    *peers, ours = judges
    rows = [
        {"part": part, "name": name, "repetitions": len(parts), **Cost.sum(costs[name]).plain()}
        for name in judges
    ]
    setting = {"problems": sum(len(share.gold_Q) for share in parts), "samples": len(parts[0].response_QS[0])}
    ratios = [
        Ratio.of(
            f"{part}: {what} of {name} over ours", name, setting,
            [getattr(theirs, key) / getattr(own, key) for theirs, own in zip(costs[name], costs[ours], strict=True)],
        )
        for name in peers
        for key, what in (("wall", "seconds"), ("cpu", "processor seconds"))
    ]  # fmt: skip
    return Measured(rows, ratios)


def _both(first: Measured, second: Measured) -> Measured:
    return Measured(first.rows + second.rows, first.ratios + second.ratios)


def table(measured: Measured) -> str:
    """The rows as text."""
    head = f"{'grader':28} {'problems':>8} {'samples':>7} {'processes':>9} {'wall s':>8} {'cpu s':>8} {'correct':>8}"
    lines = [f"{head} {'timeouts':>8}"]
    lines += [
        f"{row['name']:28} {row['problems']:8} {row['samples']:7} {row['processes']:9} {row['wall']:8.2f} "
        f"{row['cpu']:8.2f} {row['correct']:8.4f} {_or_dash(row['timeouts']):>8}"
        for row in measured.rows
    ]
    figures = [row for row in measured.rows if row["figures"]]
    lines += [f"{row['name']}: {_listed(row['figures'])}" for row in figures]
    return "\n".join(lines)


def _or_dash(value: Any) -> Any:
    return "-" if value is None else value


def _listed(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = harness.parser(__doc__)
    found.add_argument("--data", type=Path, default=os.environ.get(VARIABLE), help="folder of eval/, grader/")
    found.add_argument("--problems", type=int, help="only so many of the 1,590")
    found.add_argument("--samples", type=int, default=32)
    found.add_argument("--repetitions", type=int, default=5, help="parts that the problems are dealt into")
    found.add_argument("--workers", type=int, default=2)
    found.add_argument("--alone", type=int, default=2000, help="responses that are graded again on their own")
    found.add_argument(
        "--figure-problems", type=int, default=100, help="problems whose figures are made, too"
    )
    found.add_argument("--lighteval", type=Path, help="folder of lighteval's virtual environment")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    harness.alone(NAME, parser(), measure, table, arguments)


if __name__ == "__main__":
    main()
