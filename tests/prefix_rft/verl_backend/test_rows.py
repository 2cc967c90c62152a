"""What the agent loops are asked for is what the local backend makes: the same rows, prefixes and sampling keys."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.errors import TrainingError
from prefix_rft.grading.verdict import Grade
from prefix_rft.local.generation import Generation
from prefix_rft.local.rollouts import make_responses
from prefix_rft.methods import make_method
from prefix_rft.rollout import QuestionTokens, StepContext
from prefix_rft.settings import RunConfig, parse
from prefix_rft.verl_backend.parquet import read_questions, write_questions
from prefix_rft.verl_backend.rows import asked_rows, graded_rows
from prefix_rft.verl_backend.task import Task, rollout_task, validation_task

QUESTIONS = [
    QuestionTokens("a", (2, 3), "1", (*range(2, 10), 1)),
    QuestionTokens("b", (4, 5, 6), "2", None),
    QuestionTokens("c", (7,), "3", (*range(3, 9), 1)),
]
STEPS = [StepContext(seed=0, step=step, total_steps=6) for step in (0, 3, 5)]
METHODS: dict[str, dict[str, Any]] = {
    "sft": {"name": "sft"},
    **{
        name: {"name": name, "rollouts": 4}
        for name in ("rft", "prefix_rft", "luffy", "uft", "rl_sft_loss", "dr_po", "relift")
    },
}


def method(name: str, **more: Any) -> Any:
    values = {"method": METHODS[name] | more, "model": {"kind": "tiny"}, "data": {"kind": "chain"}}
    return make_method(parse(RunConfig, values).method, max_response_tokens=12)


class Recorder:
    """A policy that writes nothing and remembers what it was asked to continue."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[int, ...], int, int]] = []

    def generate(
        self, prompts: Any, *, max_new: Any, key_B: Any, start_B: Any, temperature: float
    ) -> Generation:
        self.asked = [
            (tuple(prompt), int(key), int(room))
            for prompt, key, room in zip(prompts, key_B, max_new, strict=True)
        ]
        return Generation([[1] for _ in prompts], [True for _ in prompts], 1)


class AllWrong:
    def grade(self, pairs: Any) -> list[Grade]:
        return [Grade(False, "ok", "") for _ in pairs]


def demonstrated(name: str) -> list[QuestionTokens]:
    """Imitation alone is only asked to imitate."""
    return [q for q in QUESTIONS if q.demonstration is not None or name != "sft"]


@pytest.mark.parametrize("at", STEPS, ids=lambda at: f"step {at.step}")
@pytest.mark.parametrize("name", METHODS)
def test_prefixes_and_draws_are_those_of_the_local_backend(name, at):
    policy, questions = Recorder(), demonstrated(name)
    made: Any = make_responses(
        policy,  # type: ignore[arg-type]
        method(name),
        questions,
        at,
        encoder=ChainEncoder(4),
        grader=AllWrong(),  # type: ignore[arg-type]
        max_response=12,
        temperature=1.0,
    )
    rows = asked_rows(method(name), questions, at)
    tasks = [
        rollout_task(question, [row.request for row in rows if row.question == q], at)
        for q, question in enumerate(questions)
    ]
    asked = [
        (task.prompt + one.prefix, one.seed, 12 - len(one.prefix))
        for task in tasks
        for one in task.responses
        if not one.complete
    ]
    assert asked == [(prompt, key >> 1, room) for prompt, key, room in policy.asked]
    assert [row.question for row in rows] == made.batch.question_B.tolist()
    assert [row.request.rollout for row in rows] == made.batch.rollout_B.tolist()
    assert [len(row.request.prefix) for row in rows] == made.batch.prefix_length_B.tolist()


def test_a_task_is_the_same_after_its_journey():
    (question, *_), at = QUESTIONS, STEPS[0]
    task = rollout_task(question, method("luffy").requests(question, at), at)
    assert Task.parse(task.dump()) == task
    assert [one.complete for one in task.responses] == [False, False, False, True]


def test_a_look_at_validation_has_no_prefix_and_always_the_same_draws():
    task = validation_task(QUESTIONS[0], samples=3)
    assert task == validation_task(QUESTIONS[0], samples=3)
    assert [one.prefix for one in task.responses] == [(), (), ()]
    assert len({one.seed for one in task.responses}) == 3
    assert all(0 <= one.seed < 2**63 for one in task.responses)


def responses(rows: Any) -> list[list[int]]:
    return [[*row.request.prefix, 2, 1] for row in rows]


def grade(rows: Any, written: list[list[int]]) -> Any:
    return graded_rows(rows, written, encoder=ChainEncoder(4), grader=AllWrong(), max_response=12)  # type: ignore[arg-type]


def test_rows_are_graded_in_the_order_of_the_methods():
    rows = asked_rows(method("prefix_rft"), QUESTIONS, STEPS[1])
    batch = grade(rows, responses(rows)).batch
    assert batch.question_B.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert [part.tolist() for part in batch.mini_batches(2)] == [list(range(8)), [8, 9, 10, 11]]
    assert torch.equal(batch.response_length_B, batch.prefix_length_B + 2)


def test_a_response_that_ends_by_itself_is_finished_and_one_that_is_cut_is_not():
    rows = asked_rows(method("rft"), QUESTIONS[:1], STEPS[0])
    assert grade(rows, [[2] * 12, [2] * 11 + [1], [2, 1], [2] * 5]).finished_B.tolist() == [
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize("change", [0, -1], ids=["first token", "last token"])
def test_a_response_that_does_not_begin_with_its_prefix_is_refused(change):
    rows = asked_rows(method("prefix_rft"), QUESTIONS[:1], STEPS[0])
    written = responses(rows)
    at = change % len(rows[-1].request.prefix)
    written[-1][at] += 1
    with pytest.raises(TrainingError, match=r"question 'a', rollout 3: the response does not begin"):
        grade(rows, written)


def test_questions_are_the_same_from_a_file(tmp_path):
    assert read_questions(write_questions(QUESTIONS, tmp_path / "new" / "train.parquet")) == QUESTIONS
