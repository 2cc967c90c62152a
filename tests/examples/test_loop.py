"""The naked loop runs, learns, and stays what it promises to be."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from prefix_rft.rollout import StepContext

FILE = Path(__file__).parents[2] / "examples/loop.py"


@pytest.fixture(scope="module")
def loop() -> ModuleType:
    spec = importlib.util.spec_from_file_location("examples_loop", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_short_and_has_no_classes() -> None:
    source = FILE.read_text()
    assert len(source.splitlines()) < 250
    assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(ast.parse(source)))


def test_the_reward_wants_the_whole_answer_and_its_end(loop: ModuleType) -> None:
    question = loop.make_question("test", 0)
    response = list(question.demonstration)
    assert loop.reward(response, question.answer) == 1.0
    assert loop.reward(response[:-1], question.answer) == 0.0
    assert sorted(question.prompt[:-1]) == response[:-1]


def test_hybrid_rollouts_start_with_their_demonstration(loop: ModuleType) -> None:
    questions = [loop.make_question("test", i) for i in range(3)]
    at = StepContext(seed=0, step=5, total_steps=10)
    ids_BL, batch = loop.roll_out(loop.make_policy(0), questions, at)
    assert batch.hybrid_B.tolist() == ([False] * (loop.ROLLOUTS - 1) + [True]) * 3
    for q, question in enumerate(questions):
        row = (q + 1) * loop.ROLLOUTS - 1
        length = int(batch.prefix_length_B[row])
        response = tuple(ids_BL[row, loop.PROMPT :].tolist())
        assert response[:length] == question.demonstration[:length]
    alone_BL, _ = loop.roll_out(loop.make_policy(0), questions[1:2], at)
    assert torch.equal(alone_BL, ids_BL[loop.ROLLOUTS : 2 * loop.ROLLOUTS])


def test_it_learns(loop: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    rewards = loop.train(steps=20)
    assert sum(rewards[-4:]) / 4 > 2 * sum(rewards[:4]) / 4
    assert len(capsys.readouterr().out.splitlines()) == 20
