"""The rows of one rollout step as the methods see them: graded, in the local backend's order, cut into mini-batches.

Axes: B rows (responses) of the whole rollout step, T response tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prefix_rft.data.encode import Encoder
from prefix_rft.errors import TrainingError
from prefix_rft.grading import Grader
from prefix_rft.methods import Method
from prefix_rft.objective import token_scale
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext
from prefix_rft.settings.optimisation import Aggregation


@dataclass(frozen=True)
class AskedRow:
    """One response that is asked for."""

    question: int
    """Index of the question within the rollout step."""
    session: int
    """Which of the question's requests it is."""
    tokens: QuestionTokens
    request: RolloutRequest


@dataclass(frozen=True)
class GradedRows:
    """The responses of one rollout step."""

    batch: RolloutBatch
    finished_B: Tensor
    """bool: the response ended by itself within its budget."""
    statuses: dict[str, int]
    """Verdicts by status."""

    def rewards(self) -> list[Tensor]:
        """In verl's form: for each row zeros, and the reward on its last token."""
        rows = [torch.zeros(length) for length in self.batch.response_length_B.tolist()]
        for row, reward in zip(rows, self.batch.reward_B.tolist(), strict=True):
            row[-1] = reward
        return rows


@dataclass(frozen=True)
class WeighedRows:
    """What each response token weighs in the loss of its mini-batch; [B, T] float32."""

    alpha_BT: Tensor
    beta_BT: Tensor
    scale_BT: Tensor


def asked_rows(method: Method, questions: Sequence[QuestionTokens], at: StepContext) -> list[AskedRow]:
    """Every response that the method asks for, question by question."""
    return [
        AskedRow(q, session, tokens, request)
        for q, tokens in enumerate(questions)
        for session, request in enumerate(method.requests(tokens, at))
    ]


def graded_rows(
    rows: Sequence[AskedRow],
    responses: Sequence[list[int]],
    *,
    encoder: Encoder,
    grader: Grader,
    max_response: int,
) -> GradedRows:
    """The responses with their rewards; 0 for those that are not graded.

    Raises:
        TrainingError: a response does not begin with the tokens it was to begin with.
    """
    for row, response in zip(rows, responses, strict=True):
        _refuse_other_prefix(row, response)
    graded = [i for i, row in enumerate(rows) if row.request.graded]
    grades = grader.grade([(rows[i].tokens.answer, encoder.decode(responses[i])) for i in graded])
    reward_B, statuses = torch.zeros(len(rows)), dict[str, int]()
    for i, grade in zip(graded, grades, strict=True):
        reward_B[i] = float(grade.correct)
        statuses[grade.status] = statuses.get(grade.status, 0) + 1
    ended = [
        row.request.complete or len(response) < max_response or response[-1] == encoder.eos_id
        for row, response in zip(rows, responses, strict=True)
    ]
    return GradedRows(rollout_batch(rows, responses, reward_B), torch.tensor(ended), statuses)


def weigh(
    method: Method,
    batch: RolloutBatch,
    parts: Sequence[Tensor],
    entropy_BT: Tensor | None,
    at: StepContext,
    aggregation: Aggregation,
    constant: int,
) -> WeighedRows:
    """Weights and scales of all rows, each mini-batch by itself.

    Args:
        method: gives the weights.
        batch: all rows.
        parts: rows of each mini-batch, whole questions.
        entropy_BT: [B, T] entropies under the policy that made the rollouts; None where the method asks for none.
        at: the rollout step.
        aggregation: how token losses become the loss of a mini-batch.
        constant: C, the maximum response length.
    """
    alpha_BT, beta_BT, scale_BT = torch.zeros(3, len(batch), batch.width)
    for part, rows in enumerate(parts):
        mini = batch.rows(rows)
        entropies = None if entropy_BT is None else entropy_BT[rows, : mini.width]
        weights = method.weights(mini, entropies, at, part)
        alpha_BT[rows, : mini.width] = weights.alpha_BT
        beta_BT[rows, : mini.width] = weights.beta_BT
        scale_BT[rows, : mini.width] = token_scale(mini, aggregation, constant, method.imitation.scale)
    return WeighedRows(alpha_BT, beta_BT, scale_BT)


def _refuse_other_prefix(row: AskedRow, response: Sequence[int]) -> None:
    prefix = row.request.prefix
    if tuple(response[: len(prefix)]) != prefix or not response:
        raise TrainingError(
            f"question {row.tokens.id!r}, rollout {row.request.rollout}: the response does not begin with the "
            f"{len(prefix)} tokens of its prefix; the inference engine or the agent loop changed them"
        )


def rollout_batch(rows: Sequence[AskedRow], responses: Sequence[list[int]], reward_B: Tensor) -> RolloutBatch:
    """The rows as the methods see them."""
    return RolloutBatch(
        question_B=torch.tensor([row.question for row in rows]),
        rollout_B=torch.tensor([row.request.rollout for row in rows]),
        prefix_id_B=torch.tensor([row.request.prefix_id for row in rows]),
        prefix_length_B=torch.tensor([len(row.request.prefix) for row in rows]),
        response_length_B=torch.tensor([len(response) for response in responses]),
        reward_B=reward_B,
    )
