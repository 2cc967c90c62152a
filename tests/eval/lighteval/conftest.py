"""Finished evaluations whose responses are written by hand, and lighteval's environment where there is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.benchmarks.schema import Problem
from eval.evaluate import evaluate
from eval.lighteval.environment import Environment, LightevalError, find
from eval.lighteval.export import Evaluation, read_evaluation
from eval.prompts import Prompt
from eval.protocol import describe
from eval.sampler import Decoding, Response
from prefix_rft.data.schema import Message, Question
from prefix_rft.grading import make_grader, version
from prefix_rft.settings import EvaluationSettings
from prefix_rft.settings.grading import GradingSettings

Responses = Mapping[str, Sequence[str]]
MakeEvaluation = Callable[..., Evaluation]


@dataclass
class Script:
    """A sampler that says what stands written for each problem, sample after sample."""

    lines: Responses
    name: str = "script"
    version: str = "script 1"
    subject: str = "a script"
    batch: int = 1 << 20

    def sample(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> list[Response]:
        left: dict[str, Iterator[str]] = {name: iter(lines) for name, lines in self.lines.items()}
        return [Response(next(left[prompt.id]), 7, True) for prompt in prompts]


def as_question(problem: Problem) -> Question:
    message = Message(role="user", content=problem.problem)
    return Question(id=problem.id, messages=(message,), answer=problem.answer)


def evaluated(
    root: Path,
    split: str,
    problems: Sequence[Problem],
    responses: Responses,
    grading: GradingSettings | None = None,
) -> Evaluation:
    """A finished evaluation of written responses, graded by our own grader."""
    grading = grading or GradingSettings()
    questions = [as_question(problem) for problem in problems]
    samples = len(responses[problems[0].id])
    settings = EvaluationSettings(samples=samples, pass_at=tuple(k for k in (1, 2, 4, 8) if k <= samples))
    script = Script(responses)
    record = describe(
        settings, grading, questions, split=split, max_tokens=64, template="none", grader=version(grading),
        sampler=script.name, sampler_version=script.version,
    )  # fmt: skip
    prompts = [Prompt(question.id, text=question.text) for question in questions]
    with make_grader(grading) as grader:
        evaluate(root / split, questions, prompts, script, grader, record, settings, 64)
    return read_evaluation(root / split, problems)


@pytest.fixture
def evaluation(tmp_path: Path) -> MakeEvaluation:
    """Makes a finished evaluation: (split, problems, responses by problem, grading)."""

    def make(
        split: str,
        problems: Sequence[Problem],
        responses: Responses,
        grading: GradingSettings | None = None,
    ) -> Evaluation:
        return evaluated(tmp_path / "evaluations", split, problems, responses, grading)

    return make


@pytest.fixture(scope="session")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> MakeEvaluation:
    """The same for a whole session."""

    def make(split: str, problems: Sequence[Problem], responses: Responses) -> Evaluation:
        return evaluated(tmp_path_factory.mktemp("evaluations"), split, problems, responses)

    return make


@pytest.fixture
def script() -> type[Script]:
    return Script


@pytest.fixture(scope="session")
def lighteval() -> Environment:
    try:
        return find()
    except LightevalError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def real_folder() -> Path:
    """The folder of the published benchmarks' files."""
    for place in (os.environ.get("PREFIX_RFT_BENCHMARKS"), Path(__file__).parents[4] / "shared/data/eval"):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("needs the benchmarks' files: set PREFIX_RFT_BENCHMARKS to their folder")
