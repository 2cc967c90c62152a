"""What the runs of the orchestration benchmark share: evaluations as large as their settings say, a few rollouts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from eval.evaluate import score
from eval.protocol import ProtocolRecord
from eval.results import Claim, claim, write_scores
from eval.samples import SAMPLES, VERDICTS, Sample, Verdict, samples_path, verdicts_path, write_rows
from prefix_rft.runs.jsonl import encode
from prefix_rft.runs.rollout_samples import ROLLOUT_SAMPLES_FILE, RolloutSample
from prefix_rft.settings import ChainData, RunConfig

WEIGHTS = "model.safetensors"
SPLIT = "test"
_SUBJECT = "benchmark"
_TOKENS = 24
_ROLLOUT_STEPS, _ROLLOUTS = range(10, 61, 10), 4


def make_pattern(folder: Path, config: RunConfig, rate: float) -> None:
    """A folder with weights, rollouts and an evaluation in which so many responses are correct."""
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(b"no weights")
    samples = [_rollout(step, rollout) for step in _ROLLOUT_STEPS for rollout in range(_ROLLOUTS)]
    (folder / ROLLOUT_SAMPLES_FILE).write_bytes(b"".join(encode(asdict(sample)) for sample in samples))
    _evaluate(folder / SPLIT, config, rate)


def _rollout(step: int, rollout: int) -> RolloutSample:
    return RolloutSample(
        step=step, question=f"q{rollout:04d}", rollout=rollout, prompt="12+34*5=",
        pieces=list("12+34*5=182;16+86=102#14")[:_TOKENS],
        weights=[0.5, -0.5] * (_TOKENS // 2), imitated=8, start=0, tokens=_TOKENS, reward=1.0, finished=True,
    )  # fmt: skip


def _evaluate(folder: Path, config: RunConfig, rate: float) -> None:
    asked, data = config.evaluation, config.data
    assert isinstance(data, ChainData)
    record = ProtocolRecord(
        name=asked.protocol, split=SPLIT, questions=data.test_questions, content="c0ffee0011223344",
        samples=asked.samples, temperature=asked.temperature, top_p=asked.top_p, max_tokens=data.max_response_tokens,
        seed=0, template="chain", grader="exact 1", extraction=("after_marker #",), verdict_seconds=5.0,
        sampler="local", sampler_version="benchmark",
    )  # fmt: skip
    claim(folder, Claim(subject=_SUBJECT, protocol=record))
    pairs = [
        (f"q{question:04d}", sample)
        for question in range(record.questions)
        for sample in range(record.samples)
    ]
    correct = np.random.default_rng(round(1000 * rate)).uniform(size=len(pairs)) < rate
    write_rows(samples_path(folder), SAMPLES, [Sample(*pair, "1+2=3#3$", _TOKENS, True, 7) for pair in pairs])
    verdicts = [Verdict(*pair, bool(bit), "ok", "3") for pair, bit in zip(pairs, correct, strict=True)]
    write_rows(verdicts_path(folder), VERDICTS, verdicts)
    write_scores(folder, score(folder, record, _SUBJECT, asked.pass_at))
