"""One rollout step of Prefix-RFT at a chosen size, its time split by phase.

Weights are random and the token that ends a response is outside the vocabulary, so that every response has its full
length and the tokens of a step are known beforehand.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from prefix_rft.settings import Architecture

PROMPT = 14
"""Tokens of a question, about as many as the embedded task's have."""
PHASES = ("generate", "grade", "score", "gradient", "optimizer")
"""Of a step: writing responses; grading them; log-probabilities and entropies before the update; forward and backward
passes; optimizer steps."""
_STEPS = 100


@dataclass(frozen=True)
class Point:
    """The size of a step."""

    questions: int = 16
    rollouts: int = 8
    response: int = 32
    """Tokens of every response."""
    width: int = 64
    """Of the model; the feed-forward part is twice as wide."""

    @property
    def tokens(self) -> int:
        """Response tokens of the step."""
        return self.questions * self.rollouts * self.response

    @property
    def architecture(self) -> Architecture:
        """The embedded task's shape at this width, with room for the response."""
        longest = PROMPT + self.response + 1
        return Architecture(
            hidden_size=self.width, intermediate_size=2 * self.width, max_positions=max(128, longest)
        )

    def operations(self, vocabulary: int) -> float:
        """Multiplications of one forward pass over all rows, causal attention included.

        Every phase of the model's work is a multiple of it, so its exponent is what perfect scaling would have.
        """
        a, length = self.architecture, PROMPT + self.response
        weights = a.layers * (4 * a.hidden_size**2 + 3 * a.hidden_size * a.intermediate_size)
        attention = a.layers * 2 * a.hidden_size * (length + 1) / 2
        head = self.response * vocabulary * a.hidden_size
        return self.questions * self.rollouts * (length * (weights + attention) + head)


@dataclass(frozen=True)
class Taken:
    """Seconds of one step."""

    phases: dict[str, float]
    """By the names of `PHASES`."""
    cpu: float
    """Processor seconds of the whole step."""

    @property
    def wall(self) -> float:
        """The whole step's."""
        return sum(self.phases.values())


class Stepper:
    """Takes steps of one size; its weights move a little with every one."""

    def __init__(self, point: Point) -> None:
        """Make the model and the questions."""
        from benchmarks.task import chain
        from prefix_rft.data.chain_encoder import ChainEncoder
        from prefix_rft.grading import make_grader
        from prefix_rft.local.policy import load_policy
        from prefix_rft.local.update import Batching, LossRule
        from prefix_rft.methods import make_method
        from prefix_rft.settings import LocalBackend, PrefixRftMethod, RlPhase

        self._encoder = ChainEncoder(4)
        with tempfile.TemporaryDirectory() as folder:
            self._policy = _Timed(load_policy(_endless(Path(folder), point, self._encoder), LocalBackend()))
        phase = RlPhase(learning_rate=1e-5, beta2=0.99, mini_batches=2, questions_per_step=point.questions)
        self._method = make_method(PrefixRftMethod(rollouts=point.rollouts), point.response)
        self._rule = LossRule.of(phase, point.response)
        self._batching = Batching(LocalBackend().micro_batch_tokens, skip_zero_weight_rows=False)
        self._optimizer = _timed_optimizer(self._policy, phase)
        self._grader = _Alternately(make_grader(chain(32).grading))
        self._questions = _questions(point, self._encoder.vocabulary_size)
        self._step, self._point = _STEPS // 2, point

    def step(self) -> Taken:
        """Generate, grade and update once."""
        from prefix_rft.local.rollouts import make_responses
        from prefix_rft.local.update import update
        from prefix_rft.rollout import StepContext

        # The middle of a run, where half of a demonstration is offered.
        at = StepContext(0, self._step, 2 * self._step)
        self._policy.seconds = self._optimizer.seconds = 0.0
        began, cpu = time.perf_counter(), time.process_time()
        responses = make_responses(
            cast(Any, self._policy), self._method, self._questions, at, encoder=self._encoder,
            grader=cast(Any, self._grader), max_response=self._point.response, temperature=1.0,
        )  # fmt: skip
        assert int(responses.batch.response_length_B.sum()) == self._point.tokens
        written = time.perf_counter()
        update(
            cast(Any, self._policy), self._optimizer, self._method, responses, self._rule, self._batching, at
        )
        ended, cpu = time.perf_counter(), time.process_time() - cpu
        self._step += 1
        score, optimizer = self._policy.seconds, self._optimizer.seconds
        grade = responses.seconds["grade"]
        seconds = (written - began - grade, grade, score, ended - written - score - optimizer, optimizer)
        return Taken(dict(zip(PHASES, seconds, strict=True)), cpu)


class _Timed:
    """A policy that counts the seconds of its passes without a gradient: the scoring before the update."""

    def __init__(self, policy: Any) -> None:
        self._policy = policy
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def logprobs(self, *arguments: Any, **named: Any) -> Any:
        """See `prefix_rft.local.policy.Policy.logprobs`."""
        import torch

        began = time.perf_counter()
        found = self._policy.logprobs(*arguments, **named)
        if not torch.is_grad_enabled():
            self.seconds += time.perf_counter() - began
        return found


def _timed_optimizer(policy: _Timed, phase: Any) -> Any:
    from prefix_rft.local.optimizer import Optimizer

    class TimedOptimizer(Optimizer):
        seconds = 0.0

        def step(self) -> float:
            began = time.perf_counter()
            norm = super().step()
            self.seconds += time.perf_counter() - began
            return norm

    return TimedOptimizer(cast(Any, policy), phase, 2 * _STEPS)


class _Alternately:
    """Grades as asked and then calls every other response right, so that no group has equal rewards."""

    def __init__(self, grader: Any) -> None:
        self._grader = grader

    def grade(self, pairs: Sequence[tuple[str, str]]) -> list[Any]:
        from dataclasses import replace

        grades = self._grader.grade(pairs)
        return [replace(grade, correct=row % 2 == 1) for row, grade in enumerate(grades)]


def _endless(folder: Path, point: Point, encoder: Any) -> Path:
    """A model of random weights that can never end a response."""
    from prefix_rft.local.initial import write_random_model

    vocabulary = encoder.vocabulary_size
    write_random_model(
        folder, point.architecture, vocabulary=vocabulary, eos_id=vocabulary, pad_id=encoder.pad_id, seed=0
    )
    return folder


def _questions(point: Point, vocabulary: int) -> list[Any]:
    """Questions of random tokens, each with a demonstration as long as a response may be."""
    from prefix_rft.rollout import QuestionTokens

    def tokens(name: str, count: int) -> tuple[int, ...]:
        chosen = random.Random(name)
        return tuple(chosen.randrange(2, vocabulary) for _ in range(count))

    return [
        QuestionTokens(f"q{q}", tokens(f"prompt {q}", PROMPT), "00", tokens(f"shown {q}", point.response))
        for q in range(point.questions)
    ]
