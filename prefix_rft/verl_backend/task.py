"""What an agent loop is asked for: the responses of one question, as text that passes through any queue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from prefix_rft import keyed
from prefix_rft.rollout import QuestionTokens, RolloutRequest, StepContext
from prefix_rft.validation import sample_keys


@dataclass(frozen=True)
class Asked:
    """One response: it starts with these tokens, the engine writes the rest."""

    prefix: tuple[int, ...]
    complete: bool
    """Nothing is to be written."""
    seed: int
    """Of the engine's sampling, where it takes one for each request."""


@dataclass(frozen=True)
class Task:
    """The responses of one question; session k makes the k-th of them."""

    prompt: tuple[int, ...]
    responses: tuple[Asked, ...]

    def dump(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Task:
        """What `dump` gave."""
        found = json.loads(text)
        asked = (Asked(tuple(one["prefix"]), one["complete"], one["seed"]) for one in found["responses"])
        return cls(tuple(found["prompt"]), tuple(asked))


def rollout_task(question: QuestionTokens, requests: Sequence[RolloutRequest], at: StepContext) -> Task:
    """The rollouts that a method requests at one rollout step, under the local backend's sampling keys."""
    asked = tuple(
        Asked(
            request.prefix,
            request.complete,
            _seed(keyed.key("rollout", at.seed, question.id, at.step, request.rollout)),
        )
        for request in requests
    )
    return Task(question.prompt, asked)


def validation_task(question: QuestionTokens, samples: int) -> Task:
    """Ordinary responses, without a prefix; the same draws at every look."""
    keys = sample_keys(question.id, samples)
    return Task(question.prompt, tuple(Asked((), complete=False, seed=_seed(key)) for key in keys))


def _seed(key: int) -> int:
    """Engines take signed numbers of 64 bits at most."""
    return key >> 1
