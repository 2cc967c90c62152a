"""Advantages: golden token values, a question worked out by hand, and what centring promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, tensor

from prefix_rft.advantage import advantages
from prefix_rft.errors import SettingsError
from prefix_rft.rollout import RolloutBatch
from prefix_rft.settings.method import Baseline

GOLDEN = Path(__file__).parents[1] / "fixtures/golden/advantage.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())
BASELINES: list[Baseline] = ["reference", "reference_v2", "group"]


def _batch(question: list[int], prefix: list[int], reward: list[float], length: int = 4) -> RolloutBatch:
    rows = len(question)
    return RolloutBatch(
        question_B=tensor(question),
        rollout_B=torch.arange(rows),
        prefix_id_B=tensor(prefix),
        prefix_length_B=torch.where(tensor(prefix) >= 0, 2, 0),
        response_length_B=torch.full((rows,), length),
        reward_B=tensor(reward),
    )


def _golden_batch(case: dict[str, Any]) -> RolloutBatch:
    return RolloutBatch(
        question_B=tensor([int(name[1:]) for name in case["prompt"]]),
        rollout_B=torch.arange(len(case["prompt"])),
        prefix_id_B=tensor([-1 if name is None else int(name.split("-")[1]) for name in case["prefix"]]),
        prefix_length_B=tensor(case["prefix_length"]),
        response_length_B=tensor(case["response_length"]),
        reward_B=tensor(case["reward"]),
    )


def _tokens(batch: RolloutBatch, baseline: Baseline, divide: bool, ignore_prefix: bool) -> Tensor:
    result = advantages(batch, baseline, divide)
    on_prefix_B = result.own_B if ignore_prefix else result.prefix_B
    token_BT = torch.where(batch.imitated_BT(), on_prefix_B[:, None], result.own_B[:, None])
    return token_BT * batch.response_BT()


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize(
    ("column", "baseline", "divide", "ignore_prefix"),
    [
        ("grpo", "group", True, True),
        ("dr_grpo", "group", False, False),
        ("grpo_prefix", "reference", True, False),
        ("dr_grpo_prefix", "reference", False, False),
        ("dr_grpo_prefix_v2", "reference_v2", False, False),
    ],
)
def test_the_reference_token_by_token(
    case: dict[str, Any], column: str, baseline: Baseline, divide: bool, ignore_prefix: bool
) -> None:
    batch = _golden_batch(case)
    if (
        column == "dr_grpo"
    ):  # ordinary rows keep prefix_B = 0, hybrid ones carry the same advantage throughout
        assert torch.equal(advantages(batch, baseline, divide).own_B[batch.hybrid_B], _prefix_of(batch))
    expected_BT = tensor(case["expected"][column])
    found_BT = torch.zeros_like(expected_BT)
    found_BT[:, : batch.width] = _tokens(batch, baseline, divide, ignore_prefix)
    torch.testing.assert_close(found_BT, expected_BT, rtol=1e-5, atol=1e-6)


def _prefix_of(batch: RolloutBatch) -> Tensor:
    return advantages(batch, "group", False).prefix_B[batch.hybrid_B]


@pytest.mark.parametrize(
    ("baseline", "own", "prefix"),
    [
        ("reference", [2 / 3, -1 / 3, -1 / 3, 1.0], 2 / 3),
        ("reference_v2", [2 / 3, -1 / 3, -1 / 3, 0.0], -1 / 3),
        ("group", [0.5, -0.5, -0.5, 0.5], 0.5),
    ],
)
def test_one_question_by_hand(baseline: Baseline, own: list[float], prefix: float) -> None:
    result = advantages(_batch([0] * 4, [-1, -1, -1, 0], [1.0, 0.0, 0.0, 1.0]), baseline, divide_by_std=False)
    torch.testing.assert_close(result.own_B, tensor(own))
    torch.testing.assert_close(result.prefix_B, tensor([0.0, 0.0, 0.0, prefix]))


def test_the_division_leaves_imitated_tokens_alone() -> None:
    batch = _batch([0] * 4, [-1, -1, -1, 0], [1.0, 0.0, 0.0, 1.0])
    for baseline in BASELINES:
        plain, divided = advantages(batch, baseline, False), advantages(batch, baseline, True)
        assert torch.equal(plain.prefix_B, divided.prefix_B)
        torch.testing.assert_close(divided.own_B[0], plain.own_B[0] / (1 / 3) ** 0.5, rtol=1e-5, atol=0)


def test_a_shared_prefix_is_centred_on_its_own_rollouts() -> None:
    batch = _batch([0] * 4, [-1, -1, 0, 0], [1.0, 0.0, 1.0, 0.0])
    result = advantages(batch, "reference", divide_by_std=False)
    assert result.own_B.tolist() == [0.5, -0.5, 0.5, -0.5]
    assert result.prefix_B.tolist() == [0.0, 0.0, 0.0, -0.5]  # ((+-0.5) - 0.5) / 2


def test_one_ordinary_rollout_has_the_baseline_zero() -> None:
    result = advantages(_batch([0, 0], [-1, 0], [1.0, 1.0]), "reference", divide_by_std=False)
    assert result.own_B.tolist() == [1.0, 1.0]
    assert result.prefix_B.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("baseline", ["reference", "reference_v2"])
def test_hybrid_rollouts_alone_are_refused(baseline: Baseline) -> None:
    batch = _batch([0, 0, 1, 1], [-1, 0, 0, 1], [1.0, 0.0, 1.0, 0.0])
    with pytest.raises(SettingsError, match="baseline=group"):
        advantages(batch, baseline, divide_by_std=False)
    assert advantages(batch, "group", divide_by_std=False).own_B.tolist() == [0.5, -0.5, 0.5, -0.5]


groups = st.lists(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 1.0, -2.5]), st.booleans()), min_size=2, max_size=8),
    min_size=1,
    max_size=5,
)


def _from_groups(drawn: list[list[tuple[float, bool]]]) -> RolloutBatch:
    """The first two rollouts of a question are ordinary, any other may be hybrid with a prefix of its own."""
    rows = [
        (q, i if hybrid and i > 1 else -1, r) for q, g in enumerate(drawn) for i, (r, hybrid) in enumerate(g)
    ]
    return _batch([q for q, _, _ in rows], [p for _, p, _ in rows], [r for _, _, r in rows])


@given(groups, st.booleans())
def test_groups_are_centred(drawn: list[list[tuple[float, bool]]], divide: bool) -> None:
    batch = _from_groups(drawn)
    everyone = advantages(batch, "group", divide).own_B
    ordinary = advantages(batch, "reference", divide).own_B * ~batch.hybrid_B
    for own_B in (everyone, ordinary):
        total_Q = torch.zeros(len(drawn)).index_add(0, batch.question_B, own_B)
        assert total_Q.abs().max() < 1e-4


@given(st.sampled_from(BASELINES), st.booleans(), st.floats(-3, 3, width=32), st.integers(2, 9))
def test_a_question_answered_alike_has_exact_zeros(
    baseline: Baseline, divide: bool, reward: float, count: int
) -> None:
    batch = _batch([0] * count, [-1] * count, [reward] * count)
    assert advantages(batch, baseline, divide).own_B.tolist() == [0.0] * count


@given(groups, st.sampled_from(BASELINES), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(
    drawn: list[list[tuple[float, bool]]], baseline: Baseline, divide: bool, random: Any
) -> None:
    batch = _from_groups(drawn)
    order = list(range(len(batch)))
    random.shuffle(order)
    expected, found = (
        advantages(batch, baseline, divide),
        advantages(batch.rows(tensor(order)), baseline, divide),
    )
    torch.testing.assert_close(found.own_B, expected.own_B[order])
    torch.testing.assert_close(found.prefix_B, expected.prefix_B[order])


@given(groups, st.sampled_from(BASELINES))
def test_questions_do_not_see_each_other(drawn: list[list[tuple[float, bool]]], baseline: Baseline) -> None:
    batch = _from_groups(drawn)
    first = batch.question_B == 0
    alone = advantages(batch.rows(first), baseline, divide_by_std=True)
    torch.testing.assert_close(alone.own_B, advantages(batch, baseline, divide_by_std=True).own_B[first])
