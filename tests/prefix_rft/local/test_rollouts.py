"""Responses are what the method asked for: prefixes kept to the token, draws by name, rewards by the grader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from prefix_rft.grading import make_grader
from prefix_rft.local.policy import load_policy
from prefix_rft.local.rollouts import Responses, make_responses
from prefix_rft.methods import make_method
from prefix_rft.rollout import QuestionTokens, StepContext
from prefix_rft.settings import GradingSettings, LocalBackend
from prefix_rft.settings.method import MethodSettings, PrefixRftMethod, RftMethod, SftMethod
from prefix_rft.settings.schedule import ConstantPrefix

BUDGET = 20
AT = StepContext(seed=1, step=4, total_steps=10)
DEFAULT = LocalBackend()
PREFIX_RFT = PrefixRftMethod(rollouts=4)


def _make(
    task: Any,
    grader: Any,
    questions: Sequence[QuestionTokens],
    *,
    method: MethodSettings = PREFIX_RFT,
    at: StepContext = AT,
    backend: LocalBackend = DEFAULT,
) -> Responses:
    return make_responses(
        load_policy(task.model, backend),
        make_method(method, BUDGET),
        questions,
        at,
        encoder=task.encoder,
        grader=grader,
        max_response=BUDGET,
        temperature=1.0,
    )


def _response(responses: Responses, row: int) -> tuple[int, ...]:
    start, length = int(responses.prompt_length_B[row]), int(responses.batch.response_length_B[row])
    return tuple(responses.ids_BL[row, start : start + length].tolist())


def _by_name(responses: Responses, questions: Sequence[QuestionTokens]) -> dict[tuple[str, int], Any]:
    """(question id, rollout) -> response and reward."""
    batch = responses.batch
    return {
        (questions[int(batch.question_B[row])].id, int(batch.rollout_B[row])): (
            _response(responses, row),
            float(batch.reward_B[row]),
        )
        for row in range(len(batch))
    }


@pytest.mark.parametrize("fast_path", ["on", "off"])
def test_hybrid_rows_start_with_their_prefix_to_the_token(chain_task: Any, coin: Any, fast_path: Any) -> None:
    questions = chain_task.questions[:8]
    responses = _make(chain_task, coin, questions, backend=LocalBackend(fast_path=fast_path))
    batch = responses.batch
    assert batch.question_B.tolist() == [q for q in range(8) for _ in range(4)]
    assert batch.hybrid_B.tolist() == [False, False, False, True] * 8
    asked = make_method(PREFIX_RFT, BUDGET)
    for row in range(len(batch)):
        question = questions[int(batch.question_B[row])]
        length = int(batch.prefix_length_B[row])
        request = asked.requests(question, AT)[int(batch.rollout_B[row])]
        assert _response(responses, row)[:length] == request.prefix == question.demonstration[:length]
        assert tuple(responses.ids_BL[row, : len(question.prompt)].tolist()) == question.prompt
        assert length < len(_response(responses, row)) <= BUDGET


@pytest.mark.parametrize("fast_path", ["on", "off"])
def test_a_hybrid_rollout_costs_its_continuation_only(chain_task: Any, coin: Any, fast_path: Any) -> None:
    """One hybrid row alone (DR-PO's setting with a budget it fills): a decode step for each new token."""
    method = PrefixRftMethod(
        rollouts=2,
        hybrid_rollouts=2,
        baseline="group",
        schedule=ConstantPrefix(share=0.8),
    )
    questions = chain_task.questions[:1]
    responses = _make(chain_task, coin, questions, method=method, backend=LocalBackend(fast_path=fast_path))
    batch = responses.batch
    written_B = batch.response_length_B - batch.prefix_length_B
    assert batch.prefix_length_B.tolist() == [int(0.8 * len(questions[0].demonstration))] * 2
    assert responses.decode_steps == int(written_B.max())


def test_rows_without_a_prefix_cost_no_more_beside_a_hybrid(chain_task: Any, coin: Any) -> None:
    questions = chain_task.questions[:8]
    mixed = _make(chain_task, coin, questions)
    plain = _make(chain_task, coin, questions, method=RftMethod(rollouts=4))
    assert mixed.decode_steps <= plain.decode_steps == BUDGET


@pytest.mark.parametrize("fast_path", ["on", "off"])
def test_a_response_belongs_to_its_question_whatever_the_batch(
    chain_task: Any, coin: Any, fast_path: Any
) -> None:
    questions = chain_task.questions[:6]
    backend = LocalBackend(fast_path=fast_path)
    together = _by_name(_make(chain_task, coin, questions, backend=backend), questions)
    backwards = questions[::-1]
    small = LocalBackend(fast_path=fast_path, generation_batch=5)
    assert _by_name(_make(chain_task, coin, backwards, backend=small), backwards) == together
    for question in questions[:2]:
        alone = _by_name(_make(chain_task, coin, [question], backend=backend), [question])
        assert alone == {name: value for name, value in together.items() if name[0] == question.id}


def test_a_draw_belongs_to_its_place_in_the_response(chain_task: Any, coin: Any) -> None:
    """A rollout that is given the beginning of what it would have written goes on as it would have."""
    questions = chain_task.questions[:8]
    plain = _by_name(_make(chain_task, coin, questions, method=RftMethod(rollouts=2)), questions)
    taught = [replace(question, demonstration=plain[question.id, 0][0]) for question in questions]
    taught = [question for question in taught if len(question.demonstration) > 4]
    assert len(taught) > 3
    method = PrefixRftMethod(
        rollouts=2, hybrid_rollouts=2, baseline="group", schedule=ConstantPrefix(share=0.5)
    )
    hybrid = _by_name(_make(chain_task, coin, taught, method=method), taught)
    for question in taught:
        assert hybrid[question.id, 0][0] == question.demonstration


@pytest.mark.parametrize("change", [{"seed": 2}, {"step": 5}])
def test_another_seed_or_step_draws_anew(chain_task: Any, coin: Any, change: dict[str, int]) -> None:
    questions = chain_task.questions[:3]
    first = _by_name(_make(chain_task, coin, questions), questions)
    other = _by_name(_make(chain_task, coin, questions, at=replace(AT, **change)), questions)
    assert sum(first[name] == other[name] for name in first) <= 2


def test_rewards_are_verdicts_on_the_whole_response(chain_task: Any, coin: Any) -> None:
    """The gold answer becomes what the hybrid rollout writes, prefix included: it alone is then right."""
    questions = chain_task.questions[:8]
    drawn = _by_name(_make(chain_task, coin, questions), questions)
    written = {
        id_: chain_task.encoder.decode(value[0]) for (id_, rollout), value in drawn.items() if rollout == 3
    }
    questions = [replace(question, answer=written[question.id]) for question in questions]
    with make_grader(GradingSettings(extract=("whole",), verifier="exact")) as grader:
        responses = _make(chain_task, grader, questions)
    assert responses.batch.reward_B.tolist() == [0, 0, 0, 1] * 8
    assert sum(responses.statuses.values()) == 32


def test_a_question_without_a_demonstration_gets_ordinary_rollouts(chain_task: Any, coin: Any) -> None:
    bare = replace(chain_task.questions[0], demonstration=None)
    batch = _make(chain_task, coin, [bare, chain_task.questions[1]]).batch
    assert batch.hybrid_B.tolist() == [False] * 7 + [True]
    assert batch.rollout_B.tolist() == [0, 1, 2, 3] * 2


def test_a_demonstration_row_is_neither_written_nor_graded(chain_task: Any, coin: Any) -> None:
    questions = chain_task.questions[:3]
    responses = _make(chain_task, coin, questions, method=SftMethod())
    assert [_response(responses, row) for row in range(3)] == [q.demonstration for q in questions]
    assert responses.decode_steps == 0
    assert responses.statuses == {}
    assert responses.batch.reward_B.tolist() == [0, 0, 0]
    assert bool(responses.finished_B.all())


def test_a_response_that_fills_its_budget_is_not_finished(chain_task: Any, coin: Any) -> None:
    responses = _make(chain_task, coin, chain_task.questions[:8])
    ends = [_response(responses, row)[-1] == chain_task.encoder.eos_id for row in range(32)]
    assert responses.finished_B.tolist() == ends
    assert 0 < sum(ends) < 32
    full_B = responses.batch.response_length_B == BUDGET
    assert torch.equal(full_B | responses.finished_B, torch.ones(32, dtype=torch.bool))


def test_padding_stands_on_the_right(chain_task: Any, coin: Any) -> None:
    responses = _make(chain_task, coin, chain_task.questions[:4])
    used_B = responses.prompt_length_B + responses.batch.response_length_B
    beyond_BL = torch.arange(responses.ids_BL.shape[1]) >= used_B[:, None]
    assert bool(beyond_BL.any())
    assert set(responses.ids_BL[beyond_BL].tolist()) == {chain_task.encoder.pad_id}
