"""Seconds of a rollout step: TRL's GRPOTrainer and the embedded trainer on the same work, in turn.

    python -m benchmarks.local_step --questions 16 64 --threads 1 2 --skip-zero-rows both

A step samples 8 responses a question, grades them, and takes one optimizer step (dr_grpo, no KL term).
Contestants are separate processes that take their steps alternately, so that other load on the machine meets
them alike; read the ratios, not the seconds. A repetition is one step of each; figures are medians of them, and a
ratio is the median of the repetitions' ratios. bfloat16 is tried at the smallest number of questions. Then decode steps
a second (`benchmarks.decode`).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import decode, harness, ours, trl_peer
from benchmarks.measured import Measured, Ratio
from benchmarks.stated import Stated
from benchmarks.steps import WARM_UP, Contestant, Play, Work, take_turns
from benchmarks.task import make_model, random_model

NAME = "local_step"
PEER = "TRL"
ALL, SKIPPED, HALF = "ours, all rows", "ours, zero rows skipped", "ours, bfloat16, all rows"
TARGETS = {ALL: 3.0, SKIPPED: 4.0}
"""How many times faster than TRL 1.16 a step was to become, at 16 and 64 questions, on 1 and 2 threads."""
NO_TRL = "TRL is not installed: no ratios were taken. `make bench` installs it (pip install -e '.[bench]')."
STATED = "A small size: the peer is a stated figure, and its ratios mean nothing."
SMALL = {
    "questions": [2], "threads": [1], "steps": 2, "rollouts": 4, "decode_repetitions": 2, "dtypes": ["float32"],
    "decode_questions": 2,
}  # fmt: skip


def measure(asked: argparse.Namespace) -> Measured:
    """Rollout steps and decode steps; without TRL ours alone, which the notes say."""
    if asked.small:
        vars(asked).update(SMALL)
    rows: list[dict[str, Any]] = []
    ratios: list[Ratio] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = asked.model or (random_model if asked.small else make_model)(folder / "base", asked.max_new)
        for questions in asked.questions:
            plays = contestants(asked, with_half=questions == min(asked.questions))
            for threads in asked.threads:
                work = Work(model, questions, asked.rollouts, asked.max_new, asked.learning_rate, threads)
                found = take_turns(plays, work, asked.steps)
                rows += [row(contestant, work) for contestant in found]
                ratios += against_the_peer(found, work)
        decoded = _decode(asked, model, folder)
    return Measured(rows + decoded.rows, ratios + decoded.ratios, _notes(asked))


def contestants(asked: argparse.Namespace, *, with_half: bool) -> dict[str, Play]:
    """The peer first where there is one, then ours, by name."""
    chosen: dict[str, Play] = {}
    if asked.small:
        chosen[PEER] = Stated(0.3, WARM_UP)
    elif find_spec("trl") is not None:
        chosen[PEER] = trl_peer.play
    for name, skip, option in ((ALL, False, "off"), (SKIPPED, True, "on")):
        if asked.skip_zero_rows in (option, "both") and "float32" in asked.dtypes:
            chosen[name] = ours.contestant(skip_zero_rows=skip, micro_batch_tokens=asked.micro_batch_tokens)
    if with_half and "bfloat16" in asked.dtypes:
        chosen[HALF] = ours.contestant(
            skip_zero_rows=False, micro_batch_tokens=asked.micro_batch_tokens, dtype="bfloat16"
        )
    return chosen


def row(contestant: Contestant, work: Work) -> dict[str, Any]:
    """One contestant's medians at one setting."""
    walls = [cost.wall for cost in contestant.costs]
    return {
        "part": "step", "name": contestant.name, "questions": work.questions, "threads": work.threads,
        "repetitions": len(walls), "wall": statistics.median(walls), "low": min(walls), "high": max(walls),
        "cpu": statistics.median(cost.cpu for cost in contestant.costs),
        "tokens": statistics.mean(cost.tokens for cost in contestant.costs),
        "peak_mb": contestant.peak_mb, "path": contestant.costs[0].path,
        "phases": {
            phase: statistics.median(cost.phases[phase] for cost in contestant.costs)
            for phase in contestant.costs[0].phases
        },
    }  # fmt: skip


def against_the_peer(found: Sequence[Contestant], work: Work) -> list[Ratio]:
    """The peer's seconds over ours in every repetition, by the clock and by processor; none without a peer."""
    if found[0].name != PEER:
        return []
    peer, setting = found[0], {"questions": work.questions, "threads": work.threads}
    aimed = TARGETS if work.questions in (16, 64) and work.threads in (1, 2) else {}
    ratios = []
    for contestant in found[1:]:
        pairs = list(zip(peer.costs, contestant.costs, strict=True))
        walls = [theirs.wall / own.wall for theirs, own in pairs]
        cpus = [theirs.cpu / own.cpu for theirs, own in pairs]
        name = contestant.name
        ratios += [
            Ratio.of(f"{name}: {PEER}'s seconds over ours", PEER, setting, walls, aimed.get(name)),
            Ratio.of(f"{name}: {PEER}'s processor seconds over ours", PEER, setting, cpus),
        ]
    return ratios


def _decode(asked: argparse.Namespace, model: Path, folder: Path) -> Measured:
    decoding = decode.Decoding(
        model, asked.decode_questions, asked.rollouts, asked.max_new, asked.threads, asked.dtypes,
        asked.decode_repetitions,
    )  # fmt: skip
    return decode.measure(decoding, folder, Stated(0.3, WARM_UP) if asked.small else None)


def _notes(asked: argparse.Namespace) -> list[str]:
    if asked.small:
        return [STATED]
    return [] if find_spec("trl") is not None else [NO_TRL]


def table(measured: Measured) -> str:
    """The rows as text."""
    steps = [row for row in measured.rows if row["part"] == "step"]
    decoded = [row for row in measured.rows if row["part"] == "decode"]
    return "\n\n".join([_step_table(steps), _phase_table(steps), _decode_table(decoded)])


def _step_table(rows: list[dict[str, Any]]) -> str:
    head = f"{'rollout step':24} {'questions':>9} {'threads':>7} {'s':>7} {'low':>7} {'high':>7} {'cpu s':>7}"
    lines = [f"{head} {'tokens':>7} {'MB':>5} {'path':8}".rstrip()]
    lines += [
        f"{row['name']:24} {row['questions']:9} {row['threads']:7} {row['wall']:7.4f} {row['low']:7.4f} "
        f"{row['high']:7.4f} {row['cpu']:7.4f} {row['tokens']:7.0f} {row['peak_mb']:5.0f} {row['path']}".rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _phase_table(rows: list[dict[str, Any]]) -> str:
    timed = [row for row in rows if row["phases"]]
    names = list(timed[0]["phases"]) if timed else []
    head = f"{'seconds by phase':24} {'questions':>9} {'threads':>7} "
    lines = [head + " ".join(f"{name:>{max(len(name), 8)}}" for name in names)]
    lines += [
        f"{row['name']:24} {row['questions']:9} {row['threads']:7} "
        + " ".join(f"{row['phases'][name]:{max(len(name), 8)}.4f}" for name in names)
        for row in timed
    ]
    return "\n".join(lines)


def _decode_table(rows: list[dict[str, Any]]) -> str:
    head = f"{'decode':24} {'work':14} {'batch':>5} {'threads':>7} {'steps/s':>8} {'low':>7} {'high':>7}"
    lines = [f"{head} {'tokens/s':>9} path"]
    lines += [
        f"{row['name']:24} {row['work']:14} {row['batch']:5} {row['threads']:7} {row['steps_per_second']:8.0f} "
        f"{row['low']:7.0f} {row['high']:7.0f} {row['tokens_per_second']:9.0f} {row['path']}".rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = harness.parser(__doc__)
    found.add_argument("--questions", type=int, nargs="+", default=[16, 64])
    found.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    found.add_argument("--skip-zero-rows", choices=("on", "off", "both"), default="both")
    found.add_argument(
        "--dtypes", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"]
    )
    found.add_argument("--steps", type=int, default=12, help="counted steps of each contestant and setting")
    found.add_argument("--rollouts", type=int, default=8)
    found.add_argument("--max-new", type=int, default=32)
    found.add_argument("--learning-rate", type=float, default=3e-4)
    found.add_argument("--micro-batch-tokens", type=int, default=16384)
    found.add_argument("--decode-questions", type=int, default=16, help="times rollouts is the batch decoded")
    found.add_argument("--decode-repetitions", type=int, default=9)
    found.add_argument("--model", type=Path, help="folder of a base model; without it one is trained first")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    harness.alone(NAME, parser(), measure, table, arguments)


if __name__ == "__main__":
    main()
