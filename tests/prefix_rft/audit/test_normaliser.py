"""Divisors counted by hand, and found again in gradients made with known ones.

Rows: 2 explored tokens; 3 imitated and 1 explored; 5 imitated (a whole demonstration). C = 10.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from prefix_rft.audit.cases import AT, Case
from prefix_rft.audit.normaliser import Divisors, Fit, by_hand, fit, row_shares
from prefix_rft.audit.plain import Sums
from prefix_rft.local.rollouts import Responses
from prefix_rft.methods import make_method
from prefix_rft.rollout import RolloutBatch
from prefix_rft.settings import MethodSettings, RftMethod, RlPhase
from prefix_rft.settings.method import RlSftLossMethod

IMITATED, LENGTHS = (0, 3, 5), (2, 4, 5)


def _case(method: MethodSettings) -> Case:
    batch = RolloutBatch(
        question_B=tensor([0, 0, 0]),
        rollout_B=tensor([0, 1, 2]),
        prefix_id_B=tensor([-1, 0, 1]),
        prefix_length_B=tensor(IMITATED),
        response_length_B=tensor(LENGTHS),
        reward_B=torch.zeros(3),
    )
    ids_BL, prompt_B = torch.zeros(3, 6, dtype=torch.long), torch.ones(3, dtype=torch.long)
    responses = Responses(ids_BL, prompt_B, batch, torch.ones(3, dtype=torch.bool), 0, {}, {})
    return Case("case", make_method(method, 10), RlPhase(), responses, AT, max_response=10)


SHARED, APART = _case(RftMethod()), _case(RlSftLossMethod())


@pytest.mark.parametrize(
    ("aggregation", "shared", "apart"),
    [
        ("constant", 30, 20),
        ("token_mean", 11, 3),
        ("seq_mean_token_sum", 3, 2),
        ("seq_mean_token_mean", 3, 2),
    ],
)
def test_divisors_by_hand(aggregation: str, shared: int, apart: int) -> None:
    """Apart: the 8 imitated tokens have their own mean, the 3 explored ones stand in 2 rows."""
    assert by_hand(SHARED, aggregation) == Divisors(shared, shared)
    assert by_hand(APART, aggregation) == Divisors(apart, 8)


def test_only_a_mean_over_rows_has_shares() -> None:
    assert bool((row_shares(SHARED, "constant") == 1).all())
    thirds = row_shares(SHARED, "seq_mean_token_mean")
    assert [row[:length] for row, length in zip(thirds.tolist(), LENGTHS, strict=True)] == [
        [0.5] * 2,
        [0.25] * 4,
        pytest.approx([0.2] * 5),
    ]
    apart = row_shares(APART, "seq_mean_token_mean")
    assert apart[1, :4].tolist() == [1, 1, 1, 1]
    assert apart[0, :2].tolist() == [0.5, 0.5]


EXPLORED, IMITATED_SUM = {"w": tensor([3.0, 0.0, 6.0])}, {"w": tensor([0.0, 0.001, 0.002])}


def test_the_divisors_of_a_gradient_are_found_even_of_a_small_part() -> None:
    gradient = {"w": EXPLORED["w"] / 30 + IMITATED_SUM["w"] / 8}
    found = fit(gradient, Sums(EXPLORED, IMITATED_SUM))
    assert (found.explored, found.imitated) == pytest.approx((30, 8), rel=1e-4)
    assert found.deviation(Divisors(30, 8)) < 1e-4
    assert found.deviation(Divisors(33, 8)) == pytest.approx(0.1, rel=1e-3)


def test_what_no_divisors_explain_is_left_over() -> None:
    """The length of (0, 0, 4) seen from (3, 4) is a right triangle with sides 3, 4, 5."""
    sums = Sums({"w": tensor([3.0, 0.0])}, {"w": torch.zeros(2)})
    found = fit({"w": tensor([3.0, 4.0])}, sums)
    assert found.imitated is None
    assert found.explored == pytest.approx(1)
    assert found.residual == pytest.approx(4 / 5)
    assert found.deviation(Divisors(1, 1)) == pytest.approx(4 / 5)


def test_nothing_can_be_told_from_no_gradient() -> None:
    zero = {"w": torch.zeros(3)}
    assert math.isnan(fit(zero, Sums(EXPLORED, zero)).deviation(Divisors(1, 1)))
    assert math.isnan(fit(EXPLORED, Sums(zero, zero)).deviation(Divisors(1, 1)))


def test_a_part_that_is_missing_from_the_gradient_is_seen() -> None:
    found = fit(EXPLORED, Sums(EXPLORED, IMITATED_SUM))
    assert found.deviation(Divisors(1, 1)) > 1
    assert Fit(1.0, math.nan, 0.0).deviation(Divisors(1, 1)) is not None
