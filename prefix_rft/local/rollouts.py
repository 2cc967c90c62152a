"""From questions to graded responses: ask the method, generate, grade.

Axes: B rows (responses), L tokens of prompt and response, T response tokens.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prefix_rft import keyed
from prefix_rft.data.encode import Encoder
from prefix_rft.grading import Grader
from prefix_rft.local.policy import Policy
from prefix_rft.methods.base import Method
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext


@dataclass(frozen=True)
class Responses:
    """The responses of one rollout step, right-padded; on the CPU, whatever the policy's device."""

    ids_BL: Tensor
    """int64: prompt, then response, then padding."""
    prompt_length_B: Tensor
    """int64."""
    batch: RolloutBatch
    """Lengths, rewards and groups, in the same row order."""
    finished_B: Tensor
    """bool: the response ended by itself within its budget."""
    decode_steps: int
    """Forward passes of one token over the rows still being written."""
    statuses: dict[str, int]
    """Verdicts by status."""
    seconds: dict[str, float]
    """Wall-clock seconds of generating and of grading."""
    graded_B: Tensor | None = None
    """bool: whether a row was graded; None: all were."""
    question_ids: tuple[str, ...] = ()
    """Of each row."""


@dataclass(frozen=True)
class _Row:
    question: int
    tokens: QuestionTokens
    request: RolloutRequest


def make_responses(
    policy: Policy,
    method: Method,
    questions: Sequence[QuestionTokens],
    at: StepContext,
    *,
    encoder: Encoder,
    grader: Grader,
    max_response: int,
    temperature: float,
) -> Responses:
    """All responses that the method asks for at one rollout step, generated and graded."""
    rows = [_Row(q, tokens, ask) for q, tokens in enumerate(questions) for ask in method.requests(tokens, at)]
    started = time.perf_counter()
    written, finished, decode_steps = _generate(policy, rows, at, max_response, temperature)
    generated = time.perf_counter()
    responses = [list(row.request.prefix) + new for row, new in zip(rows, written, strict=True)]
    reward_B, statuses = _grade(rows, responses, encoder, grader)
    return Responses(
        ids_BL=_ids(rows, responses, encoder.pad_id),
        prompt_length_B=torch.tensor([len(row.tokens.prompt) for row in rows]),
        batch=_batch(rows, responses, reward_B),
        finished_B=torch.tensor(finished),
        decode_steps=decode_steps,
        statuses=statuses,
        seconds={"generate": generated - started, "grade": time.perf_counter() - generated},
        graded_B=torch.tensor([row.request.graded for row in rows]),
        question_ids=tuple(row.tokens.id for row in rows),
    )


def demonstrations(
    method: Method, questions: Sequence[QuestionTokens], at: StepContext, pad_id: int
) -> Responses:
    """The rows of a method that only imitates: nothing is generated or graded."""
    rows = [_Row(q, tokens, ask) for q, tokens in enumerate(questions) for ask in method.requests(tokens, at)]
    responses = [list(row.request.prefix) for row in rows]
    return Responses(
        ids_BL=_ids(rows, responses, pad_id),
        prompt_length_B=torch.tensor([len(row.tokens.prompt) for row in rows]),
        batch=_batch(rows, responses, [0.0] * len(rows)),
        finished_B=torch.ones(len(rows), dtype=torch.bool),
        decode_steps=0,
        statuses={},
        seconds={},
        graded_B=torch.zeros(len(rows), dtype=torch.bool),
        question_ids=tuple(row.tokens.id for row in rows),
    )


def _generate(
    policy: Policy, rows: Sequence[_Row], at: StepContext, max_response: int, temperature: float
) -> tuple[list[list[int]], list[bool], int]:
    """New tokens of every row (none for demonstration rows)."""
    asked = [i for i, row in enumerate(rows) if not row.request.complete]
    written: list[list[int]] = [[] for _ in rows]
    finished = [True] * len(rows)
    if not asked:
        return written, finished, 0
    prefix = [rows[i].request.prefix for i in asked]
    generation = policy.generate(
        [rows[i].tokens.prompt + rows[i].request.prefix for i in asked],
        max_new=[max_response - len(p) for p in prefix],
        key_B=np.array([_sample_key(rows[i], at) for i in asked], dtype=np.uint64),
        start_B=[len(p) for p in prefix],
        temperature=temperature,
    )
    for i, tokens, done in zip(asked, generation.tokens, generation.finished, strict=True):
        written[i], finished[i] = tokens, done
    return written, finished, generation.decode_steps


def _sample_key(row: _Row, at: StepContext) -> int:
    return keyed.key("rollout", at.seed, row.tokens.id, at.step, row.request.rollout)


def _grade(
    rows: Sequence[_Row], responses: Sequence[list[int]], encoder: Encoder, grader: Grader
) -> tuple[list[float], dict[str, int]]:
    """Reward of each row, 0 of those that are not graded."""
    graded = [i for i, row in enumerate(rows) if row.request.graded]
    grades = grader.grade([(rows[i].tokens.answer, encoder.decode(responses[i])) for i in graded])
    reward_B = [0.0] * len(rows)
    statuses: dict[str, int] = {}
    for i, grade in zip(graded, grades, strict=True):
        reward_B[i] = float(grade.correct)
        statuses[grade.status] = statuses.get(grade.status, 0) + 1
    return reward_B, statuses


def _batch(rows: Sequence[_Row], responses: Sequence[list[int]], reward_B: list[float]) -> RolloutBatch:
    def column(values: Iterable[int]) -> Tensor:
        return torch.tensor(list(values))

    return RolloutBatch(
        question_B=column(row.question for row in rows),
        rollout_B=column(row.request.rollout for row in rows),
        prefix_id_B=column(row.request.prefix_id for row in rows),
        prefix_length_B=column(len(row.request.prefix) for row in rows),
        response_length_B=column(map(len, responses)),
        reward_B=torch.tensor(reward_B),
    )


def _ids(rows: Sequence[_Row], responses: Sequence[list[int]], pad_id: int) -> Tensor:
    """Prompts and responses, padded on the right; [B, L]."""
    joined = [list(row.tokens.prompt) + response for row, response in zip(rows, responses, strict=True)]
    ids_BL = np.full((len(joined), max(map(len, joined))), pad_id, np.int64)
    for row, tokens in enumerate(joined):
        ids_BL[row, : len(tokens)] = tokens
    return torch.from_numpy(ids_BL)
