"""Finishes submitted runs without training: what training and evaluation leave on disk, at the toy scale's size.

Most files are hard links to those of a few patterns and of the first run, so that ten thousand runs take seconds and
little disk; identity, configuration, history and the checkpoint's manifest are each run's own.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.orchestration_pattern import SPLIT, WEIGHTS, make_pattern
from prefix_rft.runs.checkpoint import save_checkpoint
from prefix_rft.runs.identity import evaluation_folder
from prefix_rft.runs.jsonl import encode
from prefix_rft.runs.markers import TRAIN, evaluation_stage
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.provenance import PROVENANCE_FILE, write_provenance
from prefix_rft.runs.rollout_samples import ROLLOUT_SAMPLES_FILE
from prefix_rft.runs.state import EVENTS_FILE, STATE_FILE, StateWriter
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import ChainData, RunConfig

STEPS = 60
VALIDATE_EVERY = 10
PATTERNS = 8
"""Evaluations that differ."""
MARKERS = "markers"
_OF_A_STEP = (
    "decode_steps", "reward", "response_length", "truncated", "reward_hybrid", "reward_gap", "response_length_hybrid",
    "prefix_tokens", "prefix_share", "loss", "grad_norm", "updated_rows", "imitated_tokens", "explored_tokens",
    "imitated_share", "entropy_imitated", "clip_fraction", "approx_kl", "entropy", "learning_rate", "time/step",
    "time/update", "time/generate", "time/grade",
)  # fmt: skip
"""What the embedded trainer records of a rollout step."""


def finish(store: Store, work: Path) -> int:
    """Finish every run of a store; gives how many there are.

    Args:
        store: runs that ask for the same evaluation, none of them begun.
        work: folder for what the runs share.
    """
    runs = store.runs()
    config = runs[0].config()
    patterns = [work / f"pattern{number}" for number in range(PATTERNS)]
    # These runs need not survive a loss of power.
    with mock.patch("os.fsync"):
        for number, pattern in enumerate(patterns):
            make_pattern(pattern, config, rate=(number + 1) / (PATTERNS + 1))
            (pattern / METRICS_FILE).write_bytes(b"".join(map(encode, _rows(random.Random(number)))))
            write_provenance(pattern)
        history = _history(runs[0], patterns[0], config)
        for number, run in enumerate(runs[1:], start=1):
            _finish(run, patterns[number % PATTERNS], runs[0], history, config)
    return len(runs)


def _history(run: RunDir, pattern: Path, config: RunConfig) -> bytes:
    """Finish a run as its trainer and its evaluation do; what they add to its history."""
    before = (run.path / EVENTS_FILE).stat().st_size
    state = StateWriter(run.path)
    state.attempt()
    state.running(TRAIN, total_steps=STEPS)
    _link(pattern, run, config)
    run.stages.mark_done(TRAIN, step=STEPS)
    stage = evaluation_stage(SPLIT, evaluation_folder(config))
    assert isinstance(config.data, ChainData)
    run.stages.mark_done(stage, samples=config.evaluation.samples, questions=config.data.test_questions)
    state.done()
    return (run.path / EVENTS_FILE).read_bytes()[before:]


def _finish(run: RunDir, pattern: Path, first: RunDir, history: bytes, config: RunConfig) -> None:
    """The same with the state, markers and history of the first run, which are in no way its own."""
    _link(pattern, run, config)
    (run.path / STATE_FILE).unlink()
    folder = run.evaluation(SPLIT, config).relative_to(run.path)
    (run.path / MARKERS).mkdir()
    for name in (STATE_FILE, f"{MARKERS}/{TRAIN}.json", folder / "done.json"):
        os.link(first.path / name, run.path / name)
    with (run.path / EVENTS_FILE).open("ab") as events:
        events.write(history)


def _link(pattern: Path, run: RunDir, config: RunConfig) -> None:
    """Curves, rollouts, provenance, a checkpoint and an evaluation."""
    for name in (METRICS_FILE, PROVENANCE_FILE, ROLLOUT_SAMPLES_FILE):
        os.link(pattern / name, run.path / name)
    save_checkpoint(run.path, STEPS, lambda folder: os.link(pattern / WEIGHTS, folder / WEIGHTS), keep=1)
    folder = run.evaluation(SPLIT, config)
    folder.mkdir(parents=True)
    for file in (pattern / SPLIT).iterdir():
        os.link(file, folder / file.name)


def _rows(draws: random.Random) -> list[dict[str, Any]]:
    """A validation after every tenth step."""
    rows = []
    for step in range(1, STEPS + 1):
        rows.append({"step": step, "kind": "train", **{name: draws.random() for name in _OF_A_STEP}})
        if step % VALIDATE_EVERY == 0:
            found = {"validation/accuracy": draws.random(), "validation/response_length": 25.0}
            rows.append({"step": step, "kind": "validation", **found})
    return rows
