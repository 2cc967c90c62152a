"""The look at the validation split: how many samples, which draws, what is averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from prefix_rft.grading.grader import Grader
from prefix_rft.grading.verdict import Grade
from prefix_rft.local.policy import load_policy
from prefix_rft.local.validation import validate
from prefix_rft.settings import GradingSettings, LocalBackend, ValidationSettings
from prefix_rft.validation import report


class Listener(Grader):
    """Right for the first answer it hears and its repetitions; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(GradingSettings(verifier="exact"))
        self.asked: list[tuple[str, str]] = []

    def grade(
        self, pairs: Sequence[tuple[str, str]], progress: Callable[[int], None] | None = None
    ) -> list[Grade]:
        self.asked += pairs
        return [Grade(i == 0, "ok", response) for i, (_, response) in enumerate(pairs)]


def _look(task: Any, split: Sequence[Any], **settings: Any) -> tuple[dict[str, float], Listener]:
    listener = Listener()
    values = validate(
        load_policy(task.model, LocalBackend()),
        split,
        ValidationSettings(**settings),
        encoder=task.encoder,
        grader=listener,
        max_response=20,
        micro_batch_tokens=64,
    )
    return values, listener


def test_one_of_twelve_samples_is_right(chain_task: Any) -> None:
    values, listener = _look(chain_task, chain_task.questions[:6], samples=2)
    assert values["validation/accuracy"] == pytest.approx(1 / 12)
    assert [gold for gold, _ in listener.asked] == [q.answer for q in chain_task.questions[:6] for _ in "ab"]
    assert 1 <= values["validation/response_length"] <= 20


def test_it_says_how_many_responses_were_cut_or_without_an_answer(chain_task: Any) -> None:
    class Unanswered(Listener):
        def grade(self, pairs: Sequence[tuple[str, str]], progress: Any = None) -> list[Grade]:
            return [Grade(False, "no_answer" if i % 4 == 0 else "ok", None) for i, _ in enumerate(pairs)]

    question, eos = chain_task.questions[0], chain_task.encoder.eos_id
    values = report(
        [question] * 8, [[5, eos]] * 6 + [[5, 5], []], encoder=chain_task.encoder, grader=Unanswered()
    )
    assert values["validation/no_answer_share"] == 2 / 8
    assert values["validation/truncated_share"] == 2 / 8
    assert values["validation/response_length"] == (6 * 2 + 2) / 8


def test_a_limit_takes_the_first_questions(chain_task: Any) -> None:
    _, listener = _look(chain_task, chain_task.questions, samples=1, questions=3)
    assert [gold for gold, _ in listener.asked] == [q.answer for q in chain_task.questions[:3]]


def test_every_look_draws_alike_and_samples_differ(chain_task: Any) -> None:
    questions = chain_task.questions[:4]
    first, again = (_look(chain_task, questions, samples=3)[1].asked for _ in range(2))
    assert first == again
    assert len({response for _, response in first}) > len(questions)
    backwards = _look(chain_task, questions[::-1], samples=3)[1].asked
    assert sorted(backwards) == sorted(first)


def test_greedy_samples_of_a_question_are_equal(chain_task: Any) -> None:
    asked = _look(chain_task, chain_task.questions[:4], samples=2, temperature=0.0)[1].asked
    assert [response for _, response in asked[::2]] == [response for _, response in asked[1::2]]


def test_demonstrations_are_scored_as_transformers_scores_them(chain_task: Any) -> None:
    questions = chain_task.questions[:5]
    values, _ = _look(chain_task, questions, samples=1)
    model = AutoModelForCausalLM.from_pretrained(chain_task.model)
    total, count = 0.0, 0
    for question in questions:
        ids = torch.tensor([[*question.prompt, *question.demonstration]])
        with torch.no_grad():
            logp_LV = model(ids).logits[0, :-1].double().log_softmax(-1)
        start = len(question.prompt) - 1
        total -= float(logp_LV[start:].gather(1, ids[0, 1:, None][start:]).sum())
        count += len(question.demonstration)
    assert values["validation/demonstration_nll"] == pytest.approx(total / count, abs=1e-5)


def test_questions_without_demonstrations_have_no_likelihood(chain_task: Any) -> None:
    bare = [replace(question, demonstration=None) for question in chain_task.questions[:3]]
    values, _ = _look(chain_task, bare, samples=1)
    assert "validation/demonstration_nll" not in values


def test_looking_at_demonstrations_draws_nothing(chain_task: Any) -> None:
    bare = [replace(question, demonstration=None) for question in chain_task.questions[:3]]
    with_them, _ = _look(chain_task, chain_task.questions[:3], samples=2)
    without, _ = _look(chain_task, bare, samples=2)
    assert {name: with_them[name] for name in without} == without
