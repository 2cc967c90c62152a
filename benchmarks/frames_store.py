"""A store of finished runs of the toy scale's size: 60 steps of 28 metrics, one evaluation, no checkpoints."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from eval.protocol import ProtocolRecord
from eval.results import Claim, claim, score, write_scores
from eval.samples import SAMPLES, VERDICTS, Sample, Verdict, samples_path, verdicts_path, write_rows
from prefix_rft.runs.identity import evaluation_folder, train_identity
from prefix_rft.runs.jsonl import encode
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.provenance import PROVENANCE_FILE, write_provenance
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig, parse

METHODS = ("rft", "sft", "prefix_rft", "luffy")
STEPS = 60
QUESTIONS, SAMPLES_EACH = 256, 16
_METRICS = 24


def grow(store: Store, runs: int, work: Path) -> None:
    """Make runs until there are so many; `work` is a folder for what all of them share."""
    pattern = work / "pattern"
    if not pattern.exists():
        _make_evaluation(pattern / "evaluation")
        write_provenance(pattern)
    # These runs need not survive a loss of power.
    with mock.patch("os.fsync"):
        for number in range(len(store.runs()), runs):
            config = _config(METHODS[number % len(METHODS)], number // len(METHODS))
            run = store.create(train_identity(config), config)
            _finish(run, pattern, config, number)


def append_row(run: RunDir, step: int) -> None:
    """One more line of metrics."""
    with (run.path / METRICS_FILE).open("ab") as file:
        file.write(encode(_row(random.Random(step), step)))


def _config(method: str, seed: int) -> RunConfig:
    values: dict[str, Any] = {
        "method": {"name": method},
        "model": {"kind": "tiny"},
        "data": {"kind": "chain", "max_prompt_tokens": 16, "max_response_tokens": 32},
        "evaluation": {"samples": SAMPLES_EACH, "pass_at": (1, 8)},
        "seed": seed,
        "sweep": "benchmark",
    }
    return parse(RunConfig, values)


def _finish(run: RunDir, pattern: Path, config: RunConfig, number: int) -> None:
    writer, draws = StateWriter(run.path), random.Random(number)
    writer.attempt()
    writer.running("train", total_steps=STEPS)
    rows = [_row(draws, step) for step in range(1, STEPS + 1)]
    (run.path / METRICS_FILE).write_bytes(b"".join(map(encode, rows)))
    shutil.copy(pattern / PROVENANCE_FILE, run.path)
    shutil.copytree(pattern / "evaluation", run.path / "eval" / "test" / evaluation_folder(config))
    writer.done()


def _row(draws: random.Random, step: int) -> dict[str, Any]:
    metrics = {f"metric/{index}": draws.random() for index in range(_METRICS)}
    validated = {"validation/accuracy": draws.random()} if step % 10 == 0 else {}
    return {
        "step": step,
        "kind": "train",
        "reward": draws.random(),
        "loss": draws.random(),
        **metrics,
        **validated,
    }


def _make_evaluation(folder: Path) -> None:
    record = ProtocolRecord(
        name="avg16", split="test", questions=QUESTIONS, content="c0ffee0011223344", samples=SAMPLES_EACH,
        temperature=0.6, top_p=1.0, max_tokens=32, seed=0, template="chain", grader="exact 1",
        extraction=("after_marker #",), verdict_seconds=5.0, sampler="local", sampler_version="benchmark",
    )  # fmt: skip
    claim(folder, Claim(subject="benchmark", protocol=record))
    pairs = [(f"q{question:04d}", sample) for question in range(QUESTIONS) for sample in range(SAMPLES_EACH)]
    correct = np.random.default_rng(0).uniform(size=len(pairs)) < 0.5
    write_rows(samples_path(folder), SAMPLES, [Sample(*pair, "1#1$", 4, True, 7) for pair in pairs])
    verdicts = [Verdict(*pair, bool(bit), "ok", "1") for pair, bit in zip(pairs, correct, strict=True)]
    write_rows(verdicts_path(folder), VERDICTS, verdicts)
    write_scores(folder, score(folder, record, "benchmark", (1, 8)))
