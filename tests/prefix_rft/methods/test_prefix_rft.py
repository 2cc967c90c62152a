"""Prefix-RFT: the mix of rollouts, their prefixes, and weights worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from prefix_rft.methods import make_method
from prefix_rft.rollout import QuestionTokens, RolloutBatch, StepContext
from prefix_rft.settings.method import Clipping, PrefixRftMethod
from prefix_rft.settings.schedule import ConstantPrefix

AT = StepContext(seed=0, step=3, total_steps=10)
BATCH = RolloutBatch(
    question_B=torch.zeros(4, dtype=torch.long),
    rollout_B=torch.arange(4),
    prefix_id_B=tensor([-1, -1, -1, 0]),
    prefix_length_B=tensor([0, 0, 0, 4]),
    response_length_B=tensor([2, 1, 3, 5]),
    reward_B=tensor([1.0, 0.0, 0.0, 1.0]),
)
ENTROPY = torch.zeros(4, 5)
ENTROPY[3] = tensor([0.5, 2.0, 0.1, 1.0, 9.0])


def _question(length: int, name: str = "q") -> QuestionTokens:
    return QuestionTokens(id=name, prompt=(1,), answer="3", demonstration=tuple(range(length)))


def test_one_hybrid_rollout_of_eight() -> None:
    method = make_method(PrefixRftMethod(schedule=ConstantPrefix(share=0.5)), max_response_tokens=100)
    requests = method.requests(_question(20), AT)
    assert [request.rollout for request in requests] == list(range(8))
    assert [request.prefix_id for request in requests] == [-1] * 7 + [0]
    assert [request.prefix for request in requests] == [()] * 7 + [tuple(range(10))]
    assert not any(request.complete for request in requests)


def test_a_question_without_a_demonstration_gets_ordinary_rollouts() -> None:
    question = QuestionTokens(id="q", prompt=(1,), answer="3", demonstration=None)
    requests = make_method(PrefixRftMethod(), max_response_tokens=100).requests(question, AT)
    assert [(request.prefix_id, request.prefix) for request in requests] == [(-1, ())] * 8


def test_several_hybrid_rollouts_have_prefixes_of_their_own() -> None:
    settings = PrefixRftMethod(rollouts=4, hybrid_rollouts=4, baseline="group")
    requests = make_method(settings, max_response_tokens=10_000).requests(_question(5000), AT)
    assert [request.prefix_id for request in requests] == [0, 1, 2, 3]
    assert len({len(request.prefix) for request in requests}) == 4


@given(st.integers(2, 60), st.integers(2, 40), st.integers(0, 9), st.integers(1, 3))
def test_something_is_left_to_write(length: int, budget: int, step: int, hybrid: int) -> None:
    settings = PrefixRftMethod(rollouts=4, hybrid_rollouts=hybrid)
    at = StepContext(seed=1, step=step, total_steps=10)
    requests = make_method(settings, budget).requests(_question(length), at)
    assert len(requests) == 4
    for request in requests[4 - hybrid :]:
        assert request.prefix == tuple(range(len(request.prefix)))
        assert 1 <= len(request.prefix) < min(length, budget)


def test_requests_do_not_depend_on_what_was_asked_before() -> None:
    method, other = (make_method(PrefixRftMethod(), max_response_tokens=999) for _ in range(2))
    questions = [_question(500, f"q{i}") for i in range(6)]
    expected = {question.id: method.requests(question, AT) for question in questions}
    assert {question.id: other.requests(question, AT) for question in reversed(questions)} == expected


def test_weights_by_hand() -> None:
    method = make_method(PrefixRftMethod(rollouts=4, clipping=Clipping(keep=0.5)), max_response_tokens=8)
    weights = method.weights(BATCH, ENTROPY, AT, part=0)
    alpha = torch.zeros(4, 5)
    alpha[0, :2], alpha[1, :1], alpha[2, :3], alpha[3, 4] = 2 / 3, -1 / 3, -1 / 3, 1.0
    beta = torch.zeros(4, 5)
    beta[3, 1], beta[3, 3] = 2 / 3, 2 / 3
    torch.testing.assert_close(weights.alpha_BT, alpha)
    torch.testing.assert_close(weights.beta_BT, beta)


@pytest.mark.parametrize("keep", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("select", ["highest", "lowest", "random"])
def test_clipping_never_touches_explored_tokens(keep: float, select: str) -> None:
    settings = PrefixRftMethod.model_validate({"rollouts": 4, "clipping": {"keep": keep, "select": select}})
    method = make_method(settings, max_response_tokens=8)
    found = method.weights(BATCH, ENTROPY if method.wants_entropy else None, AT, part=0)
    everything = make_method(PrefixRftMethod(rollouts=4, clipping=Clipping(keep=1.0)), max_response_tokens=8)
    expected = everything.weights(BATCH, None, AT, part=0)
    assert torch.equal(found.alpha_BT, expected.alpha_BT)
    assert int((found.beta_BT != 0).sum()) == 4 - int(4 * round(1 - keep, 9))


def test_a_random_choice_changes_with_the_mini_batch_and_the_step() -> None:
    wide = BATCH.rows(torch.arange(4))
    method = make_method(
        PrefixRftMethod(rollouts=4, clipping=Clipping(keep=0.5, select="random")), max_response_tokens=99
    )
    longer = RolloutBatch(
        wide.question_B,
        wide.rollout_B,
        wide.prefix_id_B,
        tensor([0, 0, 0, 60]),
        tensor([2, 1, 3, 61]),
        wide.reward_B,
    )
    first = method.weights(longer, None, AT, part=0).beta_BT
    assert torch.equal(first, method.weights(longer, None, AT, part=0).beta_BT)
    assert not torch.equal(first, method.weights(longer, None, AT, part=1).beta_BT)
    later = StepContext(seed=0, step=4, total_steps=10)
    assert not torch.equal(first, method.weights(longer, None, later, part=0).beta_BT)


def test_frozen_no_imitated_token_is_updated_and_explored_ones_are() -> None:
    settings = PrefixRftMethod(rollouts=4, clipping=Clipping(keep=0.0))
    weights = make_method(settings, max_response_tokens=8).weights(BATCH, None, AT, part=0)
    assert weights.beta_BT.abs().sum() == 0
    assert weights.alpha_BT[3].tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_a_static_weight_does_not_ask_for_the_reward(reward: float) -> None:
    """Two of the prefix's four tokens are kept; the continuation keeps its advantage."""
    settings = PrefixRftMethod(rollouts=4, clipping=Clipping(keep=0.5), static_weight=0.001)
    graded = replace(BATCH, reward_B=tensor([1.0, 0.0, 0.0, reward]))
    weights = make_method(settings, max_response_tokens=8).weights(graded, ENTROPY, AT, part=0)
    torch.testing.assert_close(weights.beta_BT[3], tensor([0, 0.001, 0, 0.001, 0]))
    assert weights.beta_BT[:3].abs().sum() == 0
    assert weights.alpha_BT[3].tolist() == [0, 0, 0, 0, reward]


def test_the_clip_of_imitated_tokens_is_a_setting() -> None:
    assert make_method(PrefixRftMethod(), max_response_tokens=8).imitation.form == "ratio"
    assert (
        make_method(PrefixRftMethod(clip_prefix=True), max_response_tokens=8).imitation.form
        == "clipped_ratio"
    )


@pytest.mark.parametrize(
    ("clipping", "wanted"),
    [(Clipping(), True), (Clipping(keep=1.0), False), (Clipping(select="random"), False)],
)
def test_entropies_are_wanted_only_where_they_choose(clipping: Clipping, wanted: bool) -> None:
    assert make_method(PrefixRftMethod(clipping=clipping), max_response_tokens=8).wants_entropy == wanted
