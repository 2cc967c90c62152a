"""Decode steps a second: our sampler and `generate` of transformers, on the same prompts, in turn.

A decode step is one pass of one token over all rows that are still being written. There are two works. `whole batch`:
as many different questions with prompts of one length, and no row ends before its budget, so that every step computes
every row. `as in training`: several rollouts of fewer questions, which have beginnings in common and end when they do.
The peer is compared by the seconds of the same work, since our steps also read what longer prompts have more.
"""

from __future__ import annotations

import json
import shutil
import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measured import Measured, Ratio
from benchmarks.ours import Dtype
from benchmarks.steps import Clock, Contestant, Play, Turns, Work, take_turns

PEER = "transformers generate"
OURS: dict[Dtype, str] = {"float32": "ours, float32", "bfloat16": "ours, bfloat16"}
TARGET = 2000.0
"""Decode steps a second at batch 128 on 2 threads."""
WHOLE, TRAINING = "whole batch", "as in training"
_CALLS = 3
"""Generations of one turn: a single one takes a few hundredths of a second."""


@dataclass(frozen=True)
class Decoding:
    """What is asked for."""

    model: Path
    questions: int
    rollouts: int
    max_new: int
    threads: list[int]
    dtypes: list[Dtype]
    repetitions: int

    @property
    def rows(self) -> int:
        """The batch."""
        return self.questions * self.rollouts


def measure(asked: Decoding, folder: Path, peer: Play | None = None) -> Measured:
    """Both works at every number of threads; `folder` holds the model whose rows do not end."""
    rows: list[dict[str, Any]] = []
    ratios: list[Ratio] = []
    lasting = endless(asked.model, folder / "endless")
    plays: dict[str, Play] = {PEER: peer or _transformers}
    plays |= {OURS[dtype]: partial(_ours, dtype=dtype) for dtype in asked.dtypes}
    for threads in asked.threads:
        works = {
            WHOLE: Work(lasting, asked.rows, 1, asked.max_new, 0.0, threads),
            TRAINING: Work(asked.model, asked.questions, asked.rollouts, asked.max_new, 0.0, threads),
        }
        for name, work in works.items():
            found = take_turns(plays, work, asked.repetitions)
            setting = {"part": "decode", "work": name, "batch": asked.rows, "threads": threads}
            rows += [_row(contestant, setting) for contestant in found]
            ratios += _ratios(found, setting)
    return Measured(rows, ratios)


def _row(contestant: Contestant, setting: dict[str, Any]) -> dict[str, Any]:
    speeds = _steps_per_second(contestant)
    tokens = [cost.tokens / cost.wall for cost in contestant.costs]
    return setting | {
        "name": contestant.name,
        "repetitions": len(speeds),
        "steps_per_second": statistics.median(speeds),
        "low": min(speeds),
        "high": max(speeds),
        "tokens_per_second": statistics.median(tokens),
        "path": contestant.costs[0].path,
    }


def _ratios(found: list[Contestant], setting: dict[str, Any]) -> list[Ratio]:
    """The peer's seconds over ours of the same turn, and our speed beside the figure that was aimed at."""
    peer, *ours = found
    place = {key: value for key, value in setting.items() if key != "part"}
    ratios = [
        Ratio.of(
            f"{contestant.name}: {PEER}'s seconds over ours", PEER, place,
            [theirs.wall / own.wall for theirs, own in zip(peer.costs, contestant.costs, strict=True)],
        )
        for contestant in ours
    ]  # fmt: skip
    whole = place["work"] == WHOLE  # as in training rows share their beginnings, and fewer are computed
    aimed = TARGET if whole and (place["batch"], place["threads"]) == (128, 2) else None
    return ratios + [
        Ratio.of(
            f"{contestant.name}: decode steps a second", "the figure aimed at", place,
            _steps_per_second(contestant), aimed,
        )
        for contestant in ours
        if contestant.name == OURS["float32"]
    ]  # fmt: skip


def _steps_per_second(contestant: Contestant) -> list[float]:
    return [cost.decode_steps / cost.wall for cost in contestant.costs]


def endless(model: Path, folder: Path) -> Path:
    """A copy of the model in which no token ends a response."""
    shutil.copytree(model, folder)
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(settings | {"eos_token_id": None}))
    return folder


def _prompts(work: Work) -> list[list[int]]:
    """Token ids of each row's prompt: the first questions, each as often as it has rollouts; of one length if once."""
    from benchmarks.task import chain
    from prefix_rft import data
    from prefix_rft.data.encode import encode_questions, load_encoder

    settings = chain(work.max_new)
    questions = encode_questions(data.load(settings).train, load_encoder(work.model), settings).questions
    if work.rollouts == 1:
        questions = tuple(q for q in questions if len(q.prompt) == len(questions[0].prompt))
    chosen = questions[: work.questions]
    if len(chosen) < work.questions:
        raise ValueError(
            f"the task has {len(chosen)} questions of one length; --decode-questions asks for more"
        )
    return [list(question.prompt) for question in chosen for _ in range(work.rollouts)]


def _ours(work: Work, turns: Turns, *, dtype: Dtype) -> None:
    import numpy as np

    from prefix_rft.local.policy import load_policy
    from prefix_rft.settings import LocalBackend

    policy, prompts = load_policy(work.model, LocalBackend(dtype=dtype)), _prompts(work)
    key_B = np.arange(len(prompts), dtype=np.uint64)
    limits, starts = [work.max_new] * len(prompts), [0] * len(prompts)
    while turns.wait():
        clock, written = Clock(), []
        for _ in range(_CALLS):
            key_B = key_B + np.uint64(len(prompts))
            written.append(policy.generate(prompts, max_new=limits, key_B=key_B, start_B=starts))
        tokens = sum(len(row) for generation in written for row in generation.tokens)
        steps = sum(generation.decode_steps for generation in written)
        turns.done(clock.cost(tokens, decode_steps=steps, path=policy.path))


def _transformers(work: Work, turns: Turns) -> None:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(work.model).eval()
    prompts = _prompts(work)
    width = max(map(len, prompts))
    ids_BL = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask_BL = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    stop, pad = model.generation_config.eos_token_id, model.generation_config.pad_token_id
    settings = {"do_sample": True, "top_k": 0, "max_new_tokens": work.max_new, "pad_token_id": pad}
    while turns.wait():
        clock, steps, tokens = Clock(), 0, 0
        for _ in range(_CALLS):
            written_BT = model.generate(ids_BL, attention_mask=mask_BL, **settings)[:, width:]
            steps += written_BT.shape[1]
            tokens += written_BT.numel() if stop is None else int((written_BT != pad).sum())
        turns.done(clock.cost(tokens, decode_steps=steps))
