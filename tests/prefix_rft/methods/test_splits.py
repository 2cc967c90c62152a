"""The gradient of a mini-batch is the same for every split, for every method and every aggregation.

Axes: B rows, L tokens of prompt and response, T response tokens, V vocabulary.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, tensor

from prefix_rft.methods import Method, make_method
from prefix_rft.objective import PpoClip, entropy_bonus, row_scale, surrogate
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext, TokenWeights
from prefix_rft.settings.method import (
    Clipping,
    MethodSettings,
    PrefixRftMethod,
    RftMethod,
    SftMethod,
    SftRftMethod,
)
from prefix_rft.settings.optimisation import Aggregation

VOCABULARY, BUDGET, PROMPT = 13, 16, 2
AT = StepContext(seed=5, step=2, total_steps=10)
METHODS: dict[str, MethodSettings] = {
    "sft": SftMethod(),
    "rft": RftMethod(rollouts=4),
    "grpo": RftMethod(rollouts=4, divide_by_std=True),
    "sft_rft": SftRftMethod(rollouts=4),
    "prefix_rft": PrefixRftMethod(rollouts=4, clipping=Clipping(keep=0.5)),
    "prefix_rft_clipped": PrefixRftMethod(rollouts=4, clip_prefix=True, baseline="reference_v2"),
    "prefix_rft_random": PrefixRftMethod(rollouts=4, clipping=Clipping(keep=0.5, select="random")),
    "prefix_rft_group": PrefixRftMethod(rollouts=4, hybrid_rollouts=2, baseline="group", divide_by_std=True),
}
Split = list[list[int]]


def _mini_batch(method: Method) -> tuple[Tensor, RolloutBatch]:
    """Token ids [B, L] and rows of five questions, one without a demonstration; continuations are made up."""
    rng = np.random.default_rng(0)
    asked: list[tuple[int, RolloutRequest, list[int]]] = []
    for q in range(5):
        expert = tuple(int(token) for token in rng.integers(0, VOCABULARY, 6 + q))
        question = QuestionTokens(f"q{q}", (q, q), "", None if q == 3 else expert)
        for request in method.requests(question, AT):
            room = 0 if request.complete else int(rng.integers(1, BUDGET - len(request.prefix) + 1))
            asked.append((q, request, [*request.prefix, *rng.integers(0, VOCABULARY, room).tolist()]))
    ids_BL = torch.zeros(
        len(asked), PROMPT + max(len(response) for _, _, response in asked), dtype=torch.long
    )
    for b, (q, _, response) in enumerate(asked):
        ids_BL[b, : PROMPT + len(response)] = tensor([q, q, *response])
    batch = RolloutBatch(
        question_B=tensor([q for q, _, _ in asked]),
        rollout_B=tensor([request.rollout for _, request, _ in asked]),
        prefix_id_B=tensor([request.prefix_id for _, request, _ in asked]),
        prefix_length_B=tensor([len(request.prefix) for _, request, _ in asked]),
        response_length_B=tensor([len(response) for _, _, response in asked]),
        reward_B=torch.from_numpy(rng.integers(0, 2, len(asked))).float(),
    )
    return ids_BL, batch


def _policy(table_VV: Tensor, ids_BL: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """A bigram policy: log-probabilities and entropies of the response's tokens; [B, width] both."""
    ids_BL = ids_BL[:, : PROMPT + width]
    logp_BTV = table_VV[ids_BL[:, PROMPT - 1 : -1]].log_softmax(-1)
    logp_BT = logp_BTV.gather(-1, ids_BL[:, PROMPT:, None])[..., 0]
    return logp_BT, -(logp_BTV.exp() * logp_BTV).sum(-1)


def _gradient(method: Method, aggregation: Aggregation, split: Split) -> Tensor:
    """What the trainer does: weights and counts once for the mini-batch, then one backward pass per part."""
    generator = torch.Generator().manual_seed(0)
    table_VV = torch.randn(VOCABULARY, VOCABULARY, generator=generator, dtype=torch.float64)
    ids_BL, batch = _mini_batch(method)
    old_logp_BT, entropy_BT = _policy(table_VV, ids_BL, batch.width)
    weights = method.weights(batch, entropy_BT if method.wants_entropy else None, AT, part=0)
    length_B = batch.response_length_B
    scale_B = row_scale(aggregation, length_B, len(batch), int(length_B.sum()), BUDGET)
    moved = torch.randn(VOCABULARY, VOCABULARY, generator=generator, dtype=torch.float64)
    table_VV = (table_VV + 0.5 * moved).requires_grad_()  # far enough for clips to bind
    for part in split:
        rows = batch.rows(tensor(part))
        logp_BT, now_BT = _policy(table_VV, ids_BL[part], rows.width)
        found = surrogate(
            logp_BT,
            old_logp_BT[part, : rows.width],
            TokenWeights(weights.alpha_BT[part, : rows.width], weights.beta_BT[part, : rows.width]),
            response_BT=rows.response_BT(),
            imitated_BT=rows.imitated_BT(),
            imitation=method.imitation,
            clip=PpoClip(),
        )
        loss_BT = found.loss_BT + entropy_bonus(now_BT, rows.explored_BT(), coefficient=0.01)
        (loss_BT * scale_B[part, None]).sum().backward()  # type: ignore[no-untyped-call]
    assert table_VV.grad is not None
    return table_VV.grad


def _token_budget(batch: RolloutBatch, budget: int) -> Split:
    """Rows by length, packed so that rows times the longest stays within the budget."""
    parts: Split = [[]]
    for b in torch.argsort(batch.response_length_B).tolist():
        if (len(parts[-1]) + 1) * int(batch.response_length_B[b]) > budget and parts[-1]:
            parts.append([])
        parts[-1].append(b)
    return parts


def _chunks(rows: int, parts: int) -> Split:
    return [chunk.tolist() for chunk in np.array_split(np.arange(rows), parts)]


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
@pytest.mark.parametrize("name", METHODS)
def test_equal_uneven_and_token_budget_splits(name: str, aggregation: Aggregation) -> None:
    method = make_method(METHODS[name], BUDGET)
    batch = _mini_batch(method)[1]
    rows = len(batch)
    whole = _gradient(method, aggregation, _chunks(rows, 1))
    assert whole.abs().max() > 1e-6
    splits = [_chunks(rows, 2), _chunks(rows, 4), [[0], list(range(1, rows))], _token_budget(batch, 40)]
    for split in splits:
        torch.testing.assert_close(_gradient(method, aggregation, split), whole, rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(), name=st.sampled_from(sorted(METHODS)), aggregation=st.sampled_from(get_args(Aggregation))
)
def test_any_split_of_any_order(data: st.DataObject, name: str, aggregation: Aggregation) -> None:
    method = make_method(METHODS[name], BUDGET)
    rows = len(_mini_batch(method)[1])
    order = data.draw(st.permutations(range(rows)))
    cuts = sorted(data.draw(st.sets(st.integers(1, rows - 1))))
    split = [list(order[a:b]) for a, b in zip([0, *cuts], [*cuts, rows], strict=True)]
    whole = _gradient(method, aggregation, _chunks(rows, 1))
    torch.testing.assert_close(_gradient(method, aggregation, split), whole, rtol=1e-9, atol=1e-12)


def test_rows_without_weight_can_be_skipped() -> None:
    """Without the bonus a row of zero weights adds nothing, since the counts are the mini-batch's."""
    method = make_method(METHODS["prefix_rft"], BUDGET)
    ids_BL, batch = _mini_batch(method)
    weights = method.weights(batch, torch.ones_like(batch.response_BT(), dtype=torch.float32), AT, part=0)
    weightless_B = (weights.alpha_BT.abs() + weights.beta_BT.abs()).sum(1) == 0
    assert weightless_B.any()
    logp_BT = _policy(torch.ones(VOCABULARY, VOCABULARY), ids_BL, batch.width)[0]
    found = surrogate(
        logp_BT,
        logp_BT,
        weights,
        response_BT=batch.response_BT(),
        imitated_BT=batch.imitated_BT(),
        imitation=method.imitation,
        clip=PpoClip(),
    )
    assert found.loss_BT[weightless_B].abs().sum() == 0


def test_a_mean_over_parts_of_their_own_means_would_depend_on_the_split() -> None:
    """The published fault, so that the tests above are known to be able to fail."""
    loss_B, length_B = tensor([6.0, 1.0, 1.0]), tensor([6, 1, 2])
    halves = [[0], [1, 2]]
    wrong = sum(float(loss_B[part].sum() / length_B[part].sum()) / len(halves) for part in halves)
    scale_B = row_scale("token_mean", length_B, sequences=3, total_tokens=9, constant=BUDGET)
    right = sum(float((loss_B * scale_B)[part].sum()) for part in halves)
    assert right == pytest.approx(8 / 9)
    assert wrong == pytest.approx((1 + 2 / 3) / 2)
