"""UFT: the hint's length under each schedule, and weights worked out by hand."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import tensor

from prefix_rft.errors import DataError
from prefix_rft.methods import make_method
from prefix_rft.objective import PpoClip, surrogate, token_scale
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext
from prefix_rft.settings.method import UftMethod

DEMONSTRATION = tuple(range(20))
"""Four tokens in each of five parts."""


def _hint(settings: UftMethod, step: int, name: str = "q", total: int = 100, seed: int = 0) -> int:
    """Imitated tokens of all of a question's rollouts, which share them."""
    method = make_method(settings, max_response_tokens=50)
    at = StepContext(seed=seed, step=step, total_steps=total)
    requests = method.requests(QuestionTokens(name, (1,), "3", DEMONSTRATION), at)
    assert [request.rollout for request in requests] == list(range(settings.rollouts))
    (prefix,) = {request.prefix for request in requests}
    assert prefix == DEMONSTRATION[: len(prefix)]
    assert {request.prefix_id for request in requests} == {0 if prefix else -1}
    return len(prefix)


def _parts(settings: UftMethod, step: int, draws: int) -> Counter[int]:
    """How many of that many questions get a hint of 0, 4, 8, 12, 16 or 19 tokens."""
    return Counter(_hint(settings, step, name=f"q{i}") for i in range(draws))


def test_the_number_of_parts_is_binomial_with_a_chance_falling_by_a_cosine() -> None:
    """Half-way of the 60 steps with hints the chance is (0.95 + 0.05) / 2."""
    draws = 2000
    for step, chance in ((0, 0.95), (30, 0.5), (15, 0.5 + 0.45 * 2**-0.5)):
        found = _parts(UftMethod(rollouts=2), step, draws)
        assert set(found) <= {0, 4, 8, 12, 16, 19}
        parts = {0: 0, 4: 1, 8: 2, 12: 3, 16: 4, 19: 5}
        mean = sum(parts[length] * count for length, count in found.items()) / draws
        variance = sum((parts[length] - mean) ** 2 * count for length, count in found.items()) / draws
        assert mean == pytest.approx(5 * chance, abs=0.12)  # five standard errors at the widest
        assert variance == pytest.approx(5 * chance * (1 - chance), abs=0.2)


def test_the_end_of_sequence_is_never_in_a_hint() -> None:
    everything = UftMethod(rollouts=2, start=1.0)
    assert _hint(everything, step=0) == 19


@pytest.mark.parametrize(
    ("step", "tokens"), [(0, 16), (11, 16), (12, 12), (24, 8), (36, 4), (47, 4), (48, 0), (59, 0), (60, 0)]
)
def test_a_stage_has_one_part_fewer_than_the_one_before(step: int, tokens: int) -> None:
    """Five stages of 12 of the 60 steps."""
    assert _hint(UftMethod(rollouts=2, hint="stage"), step) == tokens


@pytest.mark.parametrize("total", [10, 50, 90, 110, 500])
def test_stages_are_equally_long_whatever_the_rounding(total: int) -> None:
    settings = UftMethod(rollouts=2, hint="stage", decay_fraction=0.5)
    lengths = Counter(_hint(settings, step, total=total) for step in range(total // 2))
    assert lengths == dict.fromkeys((16, 12, 8, 4, 0), total // 10)


def test_a_uniform_hint_is_any_number_of_parts() -> None:
    found = _parts(UftMethod(rollouts=2, hint="uniform"), step=40, draws=1200)
    assert set(found) == {0, 4, 8, 12, 16, 19}
    assert all(140 < count < 260 for count in found.values())


@pytest.mark.parametrize("hint", ["cosine", "stage", "uniform"])
def test_after_the_decay_there_is_no_hint(hint: str) -> None:
    settings = UftMethod.model_validate({"rollouts": 2, "hint": hint})
    assert {_hint(settings, step, name=f"q{i}") for step in (60, 61, 99) for i in range(30)} == {0}
    assert any(_hint(settings, 35, name=f"q{i}") for i in range(30))


def test_the_last_step_with_a_hint_is_not_moved_by_rounding() -> None:
    """0.55 * 100 is 55.00000000000001."""
    settings = UftMethod(rollouts=2, hint="uniform", decay_fraction=0.55)
    assert any(_hint(settings, 54, name=f"q{i}") for i in range(30))
    assert {_hint(settings, 55, name=f"q{i}") for i in range(30)} == {0}


def test_a_draw_belongs_to_seed_question_and_step() -> None:
    settings = UftMethod(rollouts=2, hint="uniform")
    names = [f"q{i}" for i in range(40)]
    drawn = [_hint(settings, 5, name=name) for name in names]
    assert drawn == [_hint(settings, 5, name=name) for name in names]
    assert drawn != [_hint(settings, 6, name=name) for name in names]
    assert drawn != [_hint(settings, 5, name=name, seed=1) for name in names]


def test_a_question_without_a_demonstration_gets_ordinary_rollouts() -> None:
    method = make_method(UftMethod(rollouts=3), max_response_tokens=50)
    requests = method.requests(QuestionTokens("q", (1,), "3", None), StepContext(0, 0, 100))
    assert requests == [RolloutRequest(rollout) for rollout in range(3)]


def test_the_loss_by_hand() -> None:
    """Rewards 1 and 0 after a hint of 2 tokens: advantages 1/2 and -1/2 on the 1 and 2 tokens that were written."""
    batch = RolloutBatch(
        question_B=tensor([0, 0]),
        rollout_B=tensor([0, 1]),
        prefix_id_B=tensor([0, 0]),
        prefix_length_B=tensor([2, 2]),
        response_length_B=tensor([3, 4]),
        reward_B=tensor([1.0, 0.0]),
    )
    method = make_method(UftMethod(rollouts=2, coefficient=0.5), max_response_tokens=8)
    weights = method.weights(batch, None, StepContext(0, 0, 100), part=0)
    assert weights.alpha_BT.tolist() == [[0, 0, 0.5, 0], [0, 0, -0.5, -0.5]]
    assert weights.beta_BT.tolist() == [[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]]
    logp_BT = tensor([[-0.1, -0.2, -1.0, 0.0], [-0.3, -0.6, -1.0, -1.0]])
    found = surrogate(
        logp_BT,
        logp_BT,
        weights,
        response_BT=batch.response_BT(),
        imitated_BT=batch.imitated_BT(),
        imitation=method.imitation,
        clip=PpoClip(),
    )
    loss_BT = found.loss_BT * token_scale(batch, "constant", 8, method.imitation.scale)
    # 0.5 times the mean of 0.1, 0.2, 0.3 and 0.6, and -(0.5 - 1) / 8 / 2.
    torch.testing.assert_close(loss_BT[:, :2].sum(), tensor(0.15))
    torch.testing.assert_close(loss_BT[:, 2:].sum(), tensor(0.5 / 16))


def test_a_demonstration_too_short_for_a_hint_is_named() -> None:
    method = make_method(UftMethod(rollouts=2, hint="stage"), max_response_tokens=8)
    with pytest.raises(DataError, match=r"^question 'q7': a demonstration of 1 token"):
        method.requests(QuestionTokens("q7", (1,), "3", (5,)), StepContext(0, 0, 100))
