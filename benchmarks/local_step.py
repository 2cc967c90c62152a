"""Seconds of a rollout step: TRL's GRPOTrainer and the embedded trainer on the same work, in turn.

    python -m benchmarks.local_step --questions 16 64 --threads 1 2 --skip-zero-rows both

A step samples 8 responses a question, grades them, and takes one optimizer step (dr_grpo, no KL term).
Contestants are separate processes that take their steps alternately, so that other load on the machine meets
them alike; read the ratios, not the seconds. The table's numbers are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import machine, ours, trl_peer
from benchmarks.steps import Contestant, Play, Work
from benchmarks.task import make_model

RESULTS = Path(__file__).parent / "results"
PEER = "TRL"
WARM_UP = 2
"""Steps of each contestant that do not count."""


@dataclass(frozen=True)
class Row:
    """One contestant's medians at one setting."""

    name: str
    questions: int
    threads: int
    steps: int
    wall: float
    """Seconds of a step."""
    cpu: float
    """Processor seconds of a step."""
    tokens: float
    """Sampled tokens of a step."""
    peak_mb: float
    """Peak of resident memory of its process."""
    speedup_wall: float
    """TRL's seconds over this contestant's."""
    speedup_cpu: float
    """The same for processor seconds, which other load on the machine disturbs less."""


def contestants(skip_zero_rows: str, micro_batch_tokens: int) -> dict[str, Play]:
    """The peer first, then ours, by name."""
    chosen: dict[str, Play] = {PEER: trl_peer.play}
    for name, skip, asked in (("ours, all rows", False, "off"), ("ours, zero rows skipped", True, "on")):
        if skip_zero_rows in (asked, "both"):
            chosen[name] = ours.contestant(skip_zero_rows=skip, micro_batch_tokens=micro_batch_tokens)
    return chosen


def compete(plays: dict[str, Play], work: Work, steps: int) -> list[Row]:
    """Steps of every contestant in turn."""
    field = [Contestant(name, play, work) for name, play in plays.items()]
    for step in range(WARM_UP + steps):
        for contestant in field:
            contestant.step(counts=step >= WARM_UP)
    for contestant in field:
        contestant.finish()
    walls = [statistics.median(cost.wall for cost in contestant.costs) for contestant in field]
    cpus = [statistics.median(cost.cpu for cost in contestant.costs) for contestant in field]
    return [
        Row(
            contestant.name, work.questions, work.threads, steps, wall, cpu,
            statistics.mean(cost.tokens for cost in contestant.costs),
            contestant.peak_mb, walls[0] / wall, cpus[0] / cpu,
        )
        for contestant, wall, cpu in zip(field, walls, cpus, strict=True)
    ]  # fmt: skip


def table(rows: list[Row]) -> str:
    """The rows as text."""
    head = f"{'contestant':24} {'questions':>9} {'threads':>7} {'s/step':>7} {'cpu s':>7}"
    lines = [f"{head} {'tokens':>7} {'MB':>5} {'TRL/this':>8} {'(cpu)':>6}"]
    lines += [
        f"{row.name:24} {row.questions:9} {row.threads:7} {row.wall:7.3f} {row.cpu:7.3f} {row.tokens:7.0f} "
        f"{row.peak_mb:5.0f} {row.speedup_wall:7.2f}x {row.speedup_cpu:5.2f}x"
        for row in rows
    ]
    return "\n".join(lines)


def report(rows: list[Row], asked: argparse.Namespace) -> dict[str, Any]:
    """What a result file holds."""
    return {
        "benchmark": "local_step",
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"processor": machine.processor(), "cores": machine.cores(), "load": os.getloadavg()[0]},
        "versions": {name: version(name) for name in ("torch", "transformers", "trl")},
        "work": {"rollouts": asked.rollouts, "max_new": asked.max_new, "loss": "dr_grpo"},
        "micro_batch_tokens": asked.micro_batch_tokens,
        "rows": [asdict(row) for row in rows],
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--questions", type=int, nargs="+", default=[16, 64])
    found.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    found.add_argument("--skip-zero-rows", choices=("on", "off", "both"), default="both")
    found.add_argument("--steps", type=int, default=12, help="counted steps of each contestant and setting")
    found.add_argument("--rollouts", type=int, default=8)
    found.add_argument("--max-new", type=int, default=32)
    found.add_argument("--learning-rate", type=float, default=3e-4)
    found.add_argument("--micro-batch-tokens", type=int, default=16384)
    found.add_argument("--model", type=Path, help="folder of a base model; without it one is trained first")
    found.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON file")
    return found


def main(arguments: list[str] | None = None) -> None:
    asked = parser().parse_args(arguments)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        model = asked.model or make_model(Path(folder), asked.max_new)
        plays = contestants(asked.skip_zero_rows, asked.micro_batch_tokens)
        for questions in asked.questions:
            for threads in asked.threads:
                work = Work(model, questions, asked.rollouts, asked.max_new, asked.learning_rate, threads)
                rows += compete(plays, work, asked.steps)
    print(table(rows))
    asked.results.mkdir(parents=True, exist_ok=True)
    file = asked.results / f"{time.strftime('%Y-%m-%d')}-{machine.label()}.json"
    file.write_text(json.dumps(report(rows, asked), indent=2) + "\n")
    print(f"written to {file}")


if __name__ == "__main__":
    main()
