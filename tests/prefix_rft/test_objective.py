"""The surrogate: golden losses and gradients, clip regions by hand, and the scale of every aggregation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, tensor

from prefix_rft.objective import (
    Imitation,
    ImitationRule,
    PpoClip,
    Surrogate,
    entropy_bonus,
    row_scale,
    surrogate,
    token_scale,
)
from prefix_rft.rollout import RolloutBatch, TokenWeights
from prefix_rft.settings.optimisation import Aggregation

GOLDEN = Path(__file__).parents[1] / "fixtures/golden/policy_loss.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())
AGGREGATIONS: dict[str, Aggregation] = {
    "dr_grpo": "constant",
    "token-mean": "token_mean",
    "seq-mean-token-mean": "seq_mean_token_mean",
    "seq-mean-token-sum": "seq_mean_token_sum",
}
IMITATIONS: list[Imitation] = ["ratio", "clipped_ratio", "likelihood"]


def _golden(case: dict[str, Any], logp_BT: Tensor) -> Surrogate:
    position_T = torch.arange(logp_BT.shape[1])[None]
    response_BT = position_T < tensor(case["response_length"])[:, None]
    imitated_BT = position_T < tensor(case["prefix_length"])[:, None]
    advantage_BT = tensor(case["advantage"])
    weights = TokenWeights(advantage_BT * (response_BT & ~imitated_BT), advantage_BT * imitated_BT)
    return surrogate(
        logp_BT,
        tensor(case["old_log_prob"]),
        weights,
        response_BT=response_BT,
        imitated_BT=imitated_BT,
        imitation=ImitationRule("clipped_ratio" if case["clip_prefix"] else "ratio"),
        clip=PpoClip(case["clip_low"], case["clip_high"], case["dual_clip"]),
    )


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_reference_loss_and_gradient(case: dict[str, Any]) -> None:
    logp_BT = tensor(case["log_prob"]).requires_grad_()
    found, expected = _golden(case, logp_BT), case["expected"]
    length_B = tensor(case["response_length"])
    sequences, tokens = len(length_B), int(length_B.sum())
    aggregation = AGGREGATIONS[case["aggregation"]]
    scale_B = row_scale(aggregation, length_B, sequences, tokens, constant=case["max_tokens"])
    if aggregation == "constant":  # the reference does not divide by the number of sequences
        scale_B = scale_B * sequences
    loss = (found.loss_BT * scale_B[:, None]).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, tensor(expected["loss"]), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(logp_BT.grad, tensor(expected["grad_log_prob"]), rtol=1e-5, atol=1e-7)
    assert float(found.clipped / found.tokens) == pytest.approx(expected["clip_fraction"], abs=1e-6)
    assert float(found.log_ratio / found.tokens) == pytest.approx(expected["approx_kl"], abs=1e-6)


CLIP = PpoClip(low=0.2, high=0.3, dual=3.0)


def _one_token(
    weight: float, ratio: float, imitated: bool, imitation: Imitation, clip: PpoClip = CLIP
) -> tuple[float, float]:
    """Loss and its derivative by the log-probability."""
    logp_BT = torch.tensor([[ratio]]).log().requires_grad_()
    mask_BT = tensor([[imitated]])
    weights = TokenWeights(weight * ~mask_BT, weight * mask_BT)
    found = surrogate(
        logp_BT,
        torch.zeros(1, 1),
        weights,
        response_BT=tensor([[True]]),
        imitated_BT=mask_BT,
        imitation=ImitationRule(imitation),
        clip=clip,
    )
    found.loss_BT.sum().backward()  # type: ignore[no-untyped-call]
    assert logp_BT.grad is not None
    return found.loss_BT.item(), logp_BT.grad.item()


@pytest.mark.parametrize(
    ("weight", "ratio", "loss", "gradient"),
    [
        (2.0, 1.1, -2.2, -2.2),
        (2.0, 1.5, -2.6, 0.0),  # above 1.3: clipped
        (2.0, 0.5, -1.0, -1.0),  # a good token made unlikely is still pulled back
        (-2.0, 0.5, 1.6, 0.0),  # below 0.8: clipped
        (-2.0, 2.0, 4.0, 4.0),
        (-2.0, 4.0, 6.0, 0.0),  # above the dual clip
    ],
)
def test_clip_regions(weight: float, ratio: float, loss: float, gradient: float) -> None:
    for found in (
        _one_token(weight, ratio, imitated=False, imitation="ratio"),
        _one_token(weight, ratio, imitated=True, imitation="clipped_ratio"),
    ):
        assert found == pytest.approx((loss, gradient))


@pytest.mark.parametrize(("weight", "ratio"), [(2.0, 1.5), (-2.0, 0.5), (-2.0, 4.0)])
def test_an_unclipped_imitated_token_keeps_its_gradient(weight: float, ratio: float) -> None:
    found = _one_token(weight, ratio, imitated=True, imitation="ratio")
    assert found == pytest.approx((-weight * ratio, -weight * ratio))


def test_likelihood_does_not_look_at_the_ratio() -> None:
    loss, gradient = _one_token(2.0, 0.5, imitated=True, imitation="likelihood")
    assert loss == pytest.approx(-2 * torch.tensor(0.5).log().item())
    assert gradient == -2.0


@pytest.mark.parametrize("imitation", IMITATIONS)
def test_before_the_first_step_the_gradient_is_the_one_view(imitation: Imitation) -> None:
    torch.manual_seed(0)
    logp_BT = -torch.rand(3, 6, dtype=torch.float64)
    logp_BT.requires_grad_()
    response_BT = torch.arange(6)[None] < tensor([6, 4, 2])[:, None]
    imitated_BT = torch.arange(6)[None] < tensor([3, 0, 2])[:, None]
    weight_BT = torch.randn(3, 6, dtype=torch.float64)
    weights = TokenWeights(weight_BT * (response_BT & ~imitated_BT), weight_BT * imitated_BT)
    found = surrogate(
        logp_BT,
        logp_BT.detach(),
        weights,
        response_BT=response_BT,
        imitated_BT=imitated_BT,
        imitation=ImitationRule(imitation),
        clip=PpoClip(),
    )
    found.loss_BT.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(logp_BT.grad, -(weights.alpha_BT + weights.beta_BT))
    assert int(found.clipped) == 0
    assert int(found.tokens) == (7 if imitation == "likelihood" else 12)


def test_what_lies_beyond_the_response_is_not_looked_at() -> None:
    case = CASES[0]
    logp_BT = tensor(case["log_prob"])
    spoilt_BT = logp_BT.clone()
    spoilt_BT[0, case["response_length"][0] :] = float("nan")
    spoilt_BT.requires_grad_()
    found, expected = _golden(case, spoilt_BT), _golden(case, logp_BT)
    found.loss_BT.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(found.loss_BT, expected.loss_BT)
    assert spoilt_BT.grad is not None
    assert spoilt_BT.grad.isfinite().all()


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("constant", [1 / 64, 1 / 64]),
        ("token_mean", [1 / 20, 1 / 20]),
        ("seq_mean_token_sum", [1 / 4, 1 / 4]),
        ("seq_mean_token_mean", [1 / 8, 1 / 32]),
    ],
)
def test_two_rows_of_a_mini_batch_of_four(aggregation: Aggregation, expected: list[float]) -> None:
    scale_B = row_scale(aggregation, tensor([2, 8]), sequences=4, total_tokens=20, constant=16)
    torch.testing.assert_close(scale_B, tensor(expected))


def test_a_mean_over_parts_of_their_own_means_depends_on_the_split_and_a_sum_of_scaled_losses_does_not() -> (
    None
):
    """The published fault beside ours: losses 6, 1 and 1 of rows of 6, 1 and 2 tokens."""
    loss_B, length_B = tensor([6.0, 1.0, 1.0]), tensor([6, 1, 2])
    halves = [[0], [1, 2]]
    wrong = sum(float(loss_B[part].sum() / length_B[part].sum()) / len(halves) for part in halves)
    scale_B = row_scale("token_mean", length_B, sequences=3, total_tokens=9, constant=16)
    right = sum(float((loss_B * scale_B)[part].sum()) for part in halves)
    assert right == pytest.approx(8 / 9)
    assert wrong == pytest.approx((1 + 2 / 3) / 2)


# Imitated tokens in a mean of their own: rows of 4 and 3 response tokens, 2 and 0 imitated, and a demonstration of 3.

MIXED = RolloutBatch(
    question_B=tensor([0, 0, 0]),
    rollout_B=tensor([0, 1, 2]),
    prefix_id_B=tensor([0, -1, 1]),
    prefix_length_B=tensor([2, 0, 3]),
    response_length_B=tensor([4, 3, 3]),
    reward_B=torch.zeros(3),
)


@pytest.mark.parametrize(
    ("aggregation", "explored"),
    [
        ("constant", (1 / 32, 1 / 32)),  # two rows have explored tokens
        ("token_mean", (1 / 5, 1 / 5)),  # 2 + 3 of them
        ("seq_mean_token_sum", (1 / 2, 1 / 2)),
        ("seq_mean_token_mean", (1 / 4, 1 / 6)),
    ],
)
def test_imitated_tokens_do_not_enter_the_count_of_explored_ones(
    aggregation: Aggregation, explored: tuple[float, float]
) -> None:
    scale_BT = token_scale(MIXED, aggregation, constant=16, imitated="token_mean")
    assert scale_BT[0].tolist() == pytest.approx([1 / 5, 1 / 5, explored[0], explored[0]])
    assert scale_BT[1, :3].tolist() == pytest.approx([explored[1]] * 3)
    assert scale_BT[2, :3].tolist() == pytest.approx([1 / 5] * 3)


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_where_the_scale_is_shared_a_row_is_all_its_tokens(aggregation: Aggregation) -> None:
    length_B = MIXED.response_length_B
    expected_B = row_scale(aggregation, length_B, sequences=3, total_tokens=10, constant=16)
    assert torch.equal(token_scale(MIXED, aggregation, 16), expected_B[:, None].expand(3, 4))


def test_demonstrations_alone_leave_no_count_at_zero() -> None:
    only = MIXED.rows(tensor([2]))
    assert token_scale(only, "token_mean", 16, "token_mean").tolist() == [[pytest.approx(1 / 3)] * 3]


@pytest.mark.parametrize(("weight", "p"), [(2.0, 0.5), (2.0, 0.01), (-1.0, 0.5)])
def test_a_shaped_token_by_hand(weight: float, p: float) -> None:
    """Loss -w p / (p + 0.1); its derivative by the log-probability -w 0.1 p / (p + 0.1)^2."""
    loss, gradient = _one_token(weight, p, imitated=True, imitation="shaped")
    assert loss == pytest.approx(-weight * p / (p + 0.1), rel=1e-5)
    assert gradient == pytest.approx(-weight * 0.1 * p / (p + 0.1) ** 2, rel=1e-5)


@pytest.mark.parametrize(("weight", "ratio"), [(2.0, 1.5), (-2.0, 0.5), (-2.0, 4.0)])
def test_explored_tokens_can_be_left_unclipped(weight: float, ratio: float) -> None:
    clip = PpoClip(low=0.2, high=0.3, dual=3.0, explored=False)
    found = _one_token(weight, ratio, imitated=False, imitation="ratio", clip=clip)
    assert found == pytest.approx((-weight * ratio, -weight * ratio))


def test_the_entropy_bonus_is_for_explored_tokens() -> None:
    bonus = entropy_bonus(tensor([[1.0, 2.0]]), tensor([[False, True]]), coefficient=0.5)
    assert bonus.tolist() == [[0.0, -1.0]]
