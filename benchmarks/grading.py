"""Seconds of grading 1,590 problems x 32 responses: ours on two processes, lighteval's avg@32, one at a time.

    PREFIX_RFT_SHARED_DATA=<folder with eval/ and grader/> python -m benchmarks.grading --lighteval .venv-lighteval

Both grade the same responses (`benchmarks.grading_work`); imports and the start of processes are left out. Read the
ratios. With `--alone` a share of the responses is graded again, each on its own, and every verdict must be the same.
Without an environment of lighteval, or without the data, that part says so and is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks import machine
from benchmarks.grading_work import Work, make_work
from prefix_rft.grading import Grade, Grader, make_grader
from prefix_rft.settings.grading import GradingSettings

RESULTS = Path(__file__).parent / "results"
LIGHTEVAL = Path(__file__).with_name("grading_lighteval.py")


@dataclass(frozen=True)
class Row:
    """One grader's cost for all responses."""

    name: str
    processes: int
    wall: float
    cpu: float
    correct: float
    """Share of responses that it called correct."""
    timeouts: int | None


def grade(work: Work, workers: int) -> tuple[Row, list[Grade]]:
    """All responses by our grader."""
    with make_grader(GradingSettings(workers=workers)) as grader:
        grader.start()
        wall, cpu = time.perf_counter(), _processor_seconds()
        grades = grader.grade(work.pairs)
        wall, cpu = time.perf_counter() - wall, _processor_seconds() - cpu
    row = Row("ours", workers, wall, cpu, _share(grades), grader.counts.by_status["timeout"])
    return row, grades


def grade_alone(work: Work, grades: list[Grade], count: int) -> tuple[Row, int]:
    """Some responses again, each on its own and nothing remembered; how many verdicts differ."""
    chosen = random.Random(1).sample(range(len(grades)), min(count, len(grades)))
    settings = GradingSettings(workers=1)
    with Grader(settings, cached=1) as grader:
        grader.start()
        wall, cpu = time.perf_counter(), _processor_seconds()
        alone = [grader.grade([work.pairs[index]])[0] for index in chosen]
        wall, cpu = time.perf_counter() - wall, _processor_seconds() - cpu
    differing = sum(grades[index] != again for index, again in zip(chosen, alone, strict=True))
    timeouts = grader.counts.by_status["timeout"]
    return Row(f"ours, {len(chosen)} one at a time", 1, wall, cpu, _share(alone), timeouts), differing


def grade_by_lighteval(work: Work, environment: Path) -> Row:
    """avg@n of lighteval on the same responses, in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        asked, result = Path(folder) / "work.json", Path(folder) / "result.json"
        golds = [gold if "$" in gold else f"${gold}$" for gold in work.gold_Q]
        asked.write_text(json.dumps({"golds": golds, "responses": work.response_QS}))
        command = [environment.absolute() / "bin" / "python", LIGHTEVAL, asked, result]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
        found = json.loads(result.read_text())
    return Row("lighteval avg@n", 1, found["wall"], found["cpu"], _mean(found["averages"]), None)


def table(rows: list[Row]) -> str:
    lines = [f"{'grader':32} {'processes':>9} {'wall s':>8} {'cpu s':>8} {'correct':>8} {'timeouts':>8}"]
    lines += [
        f"{row.name:32} {row.processes:9} {row.wall:8.1f} {row.cpu:8.1f} {row.correct:8.4f} "
        f"{'-' if row.timeouts is None else row.timeouts:>8}"
        for row in rows
    ]
    return "\n".join(lines)


def report(rows: list[Row], work: Work, differing: int) -> dict[str, Any]:
    """What a result file holds."""
    return {
        "benchmark": "grading",
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"processor": machine.processor(), "cores": machine.cores(), "load": os.getloadavg()[0]},
        "grader": Grader(GradingSettings()).version,
        "work": {"problems": len(work.gold_Q), "samples": len(work.response_QS[0])},
        "verdicts_that_differ_alone": differing,
        "rows": [asdict(row) for row in rows],
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument(
        "--data", type=Path, default=os.environ.get("PREFIX_RFT_SHARED_DATA"), help="folder of eval/, grader/"
    )
    found.add_argument("--problems", type=int, help="only so many of the 1,590")
    found.add_argument("--samples", type=int, default=32)
    found.add_argument("--workers", type=int, default=2)
    found.add_argument("--alone", type=int, default=2000, help="responses that are graded again on their own")
    found.add_argument("--lighteval", type=Path, help="folder of lighteval's virtual environment")
    found.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON file")
    return found


def main(arguments: list[str] | None = None) -> None:
    asked = parser().parse_args(arguments)
    if asked.data is None:
        print("grading: left out, as PREFIX_RFT_SHARED_DATA names no folder of benchmark files")
        return
    work = make_work(Path(asked.data), asked.samples, asked.problems)
    ours, grades = grade(work, asked.workers)
    alone, differing = grade_alone(work, grades, asked.alone)
    rows = [ours, alone]
    if asked.lighteval is None or not (asked.lighteval / "bin" / "python").exists():
        print(
            f"lighteval: not measured, as there is no environment at {asked.lighteval}; `make lighteval` makes one"
        )
    else:
        rows.append(grade_by_lighteval(work, asked.lighteval))
        by_clock, by_processor = rows[-1].wall / ours.wall, rows[-1].cpu / ours.cpu
        print(f"lighteval takes {by_clock:.1f} times ours by the clock, {by_processor:.1f} by processor")
    print(table(rows))
    print(f"{differing} verdicts differ when a response is graded on its own")
    asked.results.mkdir(parents=True, exist_ok=True)
    file = asked.results / f"{time.strftime('%Y-%m-%d')}-grading-{machine.label()}.json"
    file.write_text(json.dumps(report(rows, work, differing), indent=2) + "\n")
    print(f"written to {file}")


def _processor_seconds() -> float:
    """Of this process, its workers, and those of them that were replaced."""
    ended = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    running = [psutil.Process(), *psutil.Process().children()]
    return ended + sum(sum(process.cpu_times()[:2]) for process in running)


def _share(grades: list[Grade]) -> float:
    return _mean([float(grade.correct) for grade in grades])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
