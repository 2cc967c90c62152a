"""Run by the python of the environment that has vLLM, with a plan as JSON; writes what it found where the plan says."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from eval.evaluate import evaluate
from eval.models import Model
from eval.prompts import Prompt
from eval.protocol import describe
from eval.sampler import Decoding
from eval.samplers.build import build
from eval.samplers.settings import VllmSampling
from eval.samplers.vllm_sampler import VllmSampler, Written
from prefix_rft.data.encode import Encoder, load_encoder
from prefix_rft.data.schema import Message, Question
from prefix_rft.grading import make_grader, version
from prefix_rft.settings import EvaluationSettings
from prefix_rft.settings.grading import GradingSettings

LONGEST = 24
GRADING = GradingSettings(extract=("whole",), verifier="exact")


def main() -> None:
    plan = json.loads(sys.argv[1])
    model = Model("tiny", plan["model"], "model tiny")
    encoder = load_encoder(plan["model"])
    settings = VllmSampling(
        dtype="float32", enforce_eager=True, max_model_len=256, batch=plan.get("batch", 16)
    )
    sampler = build(settings, model, encoder)
    assert isinstance(sampler, VllmSampler)
    found = {"version": sampler.version, **(writes(sampler, encoder) if plan.get("writes") else {})}
    if "evaluation" in plan:
        found["samples made"] = evaluated(sampler, encoder, Path(plan["evaluation"]), plan.get("dies_at"))
    sampler.close()
    Path(plan["to"]).write_text(json.dumps(found))


def asked(encoder: Encoder, count: int) -> tuple[list[Question], list[Prompt]]:
    """Questions of different lengths."""
    questions = [
        Question(
            id=f"q{i}",
            messages=(Message(role="user", content="What is " + "1 + " * (i % 3) + f"{i} ?"),),
            answer=str(i),
            split="test",
        )
        for i in range(count)
    ]
    return questions, [
        Prompt(q.id, ids=tuple(encoder.encode_prompt(q.messages)), messages=q.messages) for q in questions
    ]


def keys(count: int) -> Any:
    return np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def writes(sampler: VllmSampler, encoder: Encoder) -> dict[str, Any]:
    """The same 32 samples by several ways, and more about them."""
    prompts = [prompt for prompt in asked(encoder, 8)[1] for _ in range(4)]
    rows, key_B, hot = [list(prompt.ids or ()) for prompt in prompts], keys(32), Decoding(LONGEST, 1.0, 1.0)
    first = sampler.write(rows, key_B, hot, logprobs=True)
    parts = [sampler.write(rows[i : i + 5], key_B[i : i + 5], hot) for i in range(0, 32, 5)]
    greedy = sampler.write(rows, key_B, Decoding(LONGEST, 0.0, 1.0))
    nucleus = sampler.write(rows, key_B, Decoding(LONGEST, 0.6, 0.5))
    responses = sampler.sample(prompts, key_B, hot)
    return {
        "rows": rows,
        "ids": ids(first),
        "finished": [row.finished for row in first],
        "logprobs": [row.logprobs for row in first],
        "again": ids(sampler.write(rows, key_B, hot)),
        "in small batches": ids([row for part in parts for row in part]),
        "backwards": ids(sampler.write(rows[::-1], key_B[::-1], hot))[::-1],
        "other keys": ids(sampler.write(rows, keys(64)[32:], hot)),
        "greedy": ids(greedy),
        "nucleus": ids(nucleus),
        "responses": [[response.text, response.tokens, response.finished] for response in responses],
    }


def ids(rows: list[Written]) -> list[list[int]]:
    return [list(row.ids) for row in rows]


def evaluated(sampler: VllmSampler, encoder: Encoder, folder: Path, dies_at: int | None) -> int:
    """A whole evaluation, killed once so many questions have their samples; how many samples were made here."""
    questions, prompts = asked(encoder, 12)
    settings = EvaluationSettings(protocol="tiny", samples=8, temperature=1.0, pass_at=(1,))
    record = describe(
        settings,
        GRADING,
        questions,
        split="test",
        max_tokens=LONGEST,
        template="tokenizer",
        grader=version(GRADING),
        sampler=sampler.name,
        sampler_version=sampler.version,
    )
    made = 0
    write = sampler.write

    def counted(rows: Any, *rest: Any, **more: Any) -> list[Written]:
        nonlocal made
        made += len(rows)
        return write(rows, *rest, **more)

    def tell(stage: str, done: int, total: int) -> None:
        if dies_at is not None and done >= dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sampler.write = counted  # type: ignore[method-assign]
    with make_grader(GRADING) as grader:
        evaluate(folder, questions, prompts, sampler, grader, record, settings, LONGEST, tell)
    return made


if __name__ == "__main__":
    main()
