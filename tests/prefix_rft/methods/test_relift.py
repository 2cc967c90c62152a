"""ReLIFT: which questions wait in the buffer, in which order they leave it, and that it survives a stop."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import TypeAdapter

from prefix_rft.errors import DataError
from prefix_rft.methods import Method, make_method
from prefix_rft.rollout import QuestionTokens, RolloutBatch, RolloutRequest, StepContext
from prefix_rft.settings.method import MethodSettings, ReliftMethod

AT = StepContext(seed=0, step=0, total_steps=10)


def _relift(buffer: int) -> Method:
    return make_method(ReliftMethod(rollouts=2, buffer=buffer), max_response_tokens=8)


def _step(method: Method, names: str, solved: str = "", without: str = "") -> str:
    """One rollout step of these questions, a letter each, of two rollouts each; returns what is handed out."""
    questions = [QuestionTokens(name, (1,), "3", None if name in without else (5, 6)) for name in names]
    batch = RolloutBatch(
        question_B=torch.arange(len(names)).repeat_interleave(2),
        rollout_B=torch.tensor([0, 1] * len(names)),
        prefix_id_B=torch.full((2 * len(names),), -1),
        prefix_length_B=torch.zeros(2 * len(names), dtype=torch.long),
        response_length_B=torch.ones(2 * len(names), dtype=torch.long),
        reward_B=torch.tensor([reward for name in names for reward in (0.0, float(name in solved))]),
    )
    return "".join(method.take_interleaved(questions, batch))


def test_a_batch_leaves_when_it_is_full_those_first_who_waited_longest() -> None:
    method = _relift(buffer=3)
    assert _step(method, "ab") == ""
    assert _step(method, "cd") == "abc"
    assert method.state() == {"unsolved": ["d"]}
    assert _step(method, "e") == ""
    assert _step(method, "f") == "def"
    assert method.state() == {"unsolved": []}


def test_one_right_rollout_keeps_a_question_out() -> None:
    method = _relift(buffer=9)
    _step(method, "abcd", solved="bd")
    assert method.state() == {"unsolved": ["a", "c"]}


def test_without_a_demonstration_there_is_nothing_to_imitate() -> None:
    method = _relift(buffer=9)
    _step(method, "abc", without="b")
    assert method.state() == {"unsolved": ["a", "c"]}


def test_a_question_waits_once_and_may_come_back_after_it_has_left() -> None:
    method = _relift(buffer=2)
    assert _step(method, "a") == ""
    assert _step(method, "a") == ""
    assert _step(method, "ba") == "ab"
    assert _step(method, "a") == ""
    assert method.state() == {"unsolved": ["a"]}


def test_a_stopped_run_goes_on_with_its_buffer() -> None:
    straight, stopped = _relift(buffer=3), _relift(buffer=3)
    for method in (straight, stopped):
        _step(method, "ab")
    resumed = _relift(buffer=3)
    resumed.restore(json.loads(json.dumps(stopped.state())))
    assert _step(resumed, "bc") == _step(straight, "bc") == "abc"
    assert resumed.state() == straight.state()


def test_what_a_checkpoint_got_does_not_change_with_the_buffer() -> None:
    method = _relift(buffer=3)
    _step(method, "a")
    saved = method.state()
    _step(method, "b")
    assert saved == {"unsolved": ["a"]}


def test_between_two_steps_it_is_rft() -> None:
    method = _relift(buffer=3)
    question = QuestionTokens("q", (1,), "3", (5, 6, 7))
    assert method.requests(question, AT) == [RolloutRequest(rollout) for rollout in range(2)]
    assert not method.wants_entropy


def test_its_sft_steps_have_rates_of_their_own() -> None:
    phase = make_method(
        ReliftMethod(learning_rate=3e-6, max_grad_norm=0.5), max_response_tokens=8
    ).interleaved
    assert phase is not None
    assert (phase.learning_rate, phase.max_grad_norm) == (3e-6, 0.5)
    assert (phase.decay, phase.warmup_fraction, phase.aggregation) == ("constant", 0.0, "token_mean")


@pytest.mark.parametrize("name", ["rft", "prefix_rft", "sft"])
def test_other_methods_remember_nothing(name: str) -> None:
    settings: MethodSettings = TypeAdapter(MethodSettings).validate_python({"name": name})
    method = make_method(settings, max_response_tokens=8)
    assert (method.interleaved, method.state(), _step(method, "ab")) == (None, {}, "")


def test_a_buffer_that_never_fills_is_refused() -> None:
    questions = [
        QuestionTokens("a", (1,), "3", (5,)),
        QuestionTokens("b", (1,), "3", None),
        QuestionTokens("c", (1,), "3", (6,)),
    ]
    _relift(buffer=2).check_questions(questions)
    with pytest.raises(DataError, match=r"method\.buffer=3 questions wait .* only 2 training questions"):
        _relift(buffer=3).check_questions(questions)
