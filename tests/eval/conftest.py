"""A few questions, a sampler that writes by key, and a grader that reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.prompts import Prompt
from eval.protocol import ProtocolRecord, describe
from eval.sampler import Decoding, Response
from prefix_rft.data.schema import Message, Question
from prefix_rft.grading import Grade
from prefix_rft.settings import EvaluationSettings
from prefix_rft.settings.grading import GradingSettings


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


@dataclass
class KeyedSampler:
    """Answers 0 to 3 by the sample's key alone."""

    name: str = "keyed"
    version: str = "keyed 1"
    subject: str = "run 0123456789ab step 60"
    batch: int = 8
    dies_after: int | None = None
    """Samples made before it is killed; None: it lives."""
    asked: list[tuple[int, ...]] = field(default_factory=list)
    """Prompts of all samples made so far."""

    def sample(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> list[Response]:
        if self.dies_after is not None and len(self.asked) >= self.dies_after:
            raise Killed
        self.asked += [prompt.ids or () for prompt in prompts]
        return [Response(f"#{int(key) % 4}$" if int(key) % 5 else "hm", 3, int(key) % 7 > 0) for key in key_B]


@dataclass
class ReadingGrader:
    """Compares what stands between # and $."""

    dies_after: int | None = None
    graded: int = 0

    def grade(self, pairs: Sequence[tuple[str, str]]) -> list[Grade]:
        if self.dies_after is not None and self.graded >= self.dies_after:
            raise Killed
        self.graded += len(pairs)
        return [self._one(gold, response) for gold, response in pairs]

    def _one(self, gold: str, response: str) -> Grade:
        if not response.startswith("#"):
            return Grade(correct=False, status="no_answer", extracted=None)
        found = response.strip("#$")
        return Grade(correct=found == gold, status="ok", extracted=found)


@dataclass
class Case:
    """Everything that an evaluation takes besides its folder."""

    questions: list[Question]
    prompts: list[Prompt]
    settings: EvaluationSettings
    sampler: KeyedSampler = field(default_factory=KeyedSampler)
    grader: ReadingGrader = field(default_factory=ReadingGrader)
    max_new: int = 8

    def record(self, **changes: Any) -> ProtocolRecord:
        made = describe(
            self.settings,
            GradingSettings(verifier="exact"),
            self.questions,
            split="test",
            max_tokens=self.max_new,
            template="plain",
            grader="reading 1",
            sampler=self.sampler.name,
            sampler_version=self.sampler.version,
        )
        return made.model_copy(update=changes)

    def arguments(self, **changes: Any) -> dict[str, Any]:
        given = {
            name: getattr(self, name) for name in ("questions", "prompts", "sampler", "grader", "max_new")
        }
        return given | {"record": self.record(), "settings": self.settings} | changes


def make_case(count: int = 5, samples: int = 4, **settings: Any) -> Case:
    questions = [
        Question(
            id=f"q{i}", messages=(Message(role="user", content=f"{i}?"),), answer=str(i % 4), split="test"
        )
        for i in range(count)
    ]
    prompts = [Prompt(question.id, ids=(i, 7)) for i, question in enumerate(questions)]
    given: dict[str, Any] = {"protocol": "small", "samples": samples, "pass_at": (1, 2)}
    return Case(questions, prompts, EvaluationSettings(**(given | settings)))


@pytest.fixture
def case() -> Case:
    return make_case()


@pytest.fixture
def cases() -> Callable[..., Case]:
    return make_case


@pytest.fixture
def killed() -> type[BaseException]:
    return Killed
