"""The fixed responses that are audited: of very different lengths, some questions always solved and some never.

Axes: B rows (responses), T response tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from prefix_rft import keyed
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.grading.grader import Grader
from prefix_rft.grading.verdict import Grade
from prefix_rft.local.initial import write_random_model
from prefix_rft.local.policy import Policy
from prefix_rft.local.rollouts import Responses, make_responses
from prefix_rft.methods import Method, make_method
from prefix_rft.rollout import QuestionTokens, StepContext
from prefix_rft.settings import (
    Architecture,
    GradingSettings,
    MethodSettings,
    OptimisationSettings,
    RlPhase,
    SftMethod,
    SftPhase,
)

BUDGET = 40
"""C: most response tokens."""
ENCODER = ChainEncoder(6)
# A rollout step at which the gradient's parts are measured too, with hints and prefixes of all lengths.
AT = StepContext(seed=11, step=5, total_steps=15)
CHANCES = (1.0, 0.0, 0.5, 0.5, 0.3, 0.7, 0.4, 0.6)
"""How often a response to each question is right."""
DEMONSTRATIONS = (3, 40, 7, 25, None, 2, 33, 12)
"""Tokens of each question's demonstration."""


@dataclass(frozen=True)
class Case:
    """One method's rollout step."""

    name: str
    method: Method
    phase: SftPhase | RlPhase
    """How it is optimised."""
    responses: Responses
    at: StepContext = AT
    max_response: int = BUDGET
    """C of the `constant` aggregation."""

    def single(self) -> Case:
        """The same with all rows in one mini-batch."""
        if isinstance(self.phase, SftPhase):
            return self
        return self.with_phase(self.phase.model_copy(update={"mini_batches": 1}))

    def with_phase(self, phase: SftPhase | RlPhase) -> Case:
        """The same, optimised otherwise."""
        return replace(self, phase=phase)


def make_cases(policy: Policy, names: Sequence[str]) -> Iterator[Case]:
    """Each method with default settings, and the SFT step of those that interleave one."""
    adapter: TypeAdapter[MethodSettings] = TypeAdapter(MethodSettings)
    for name in names:
        method = make_method(adapter.validate_python({"name": name}), BUDGET)
        phase = getattr(OptimisationSettings(), method.phase)
        yield Case(name, method, phase, _responses(policy, method))
        if method.interleaved is not None:
            sft = make_method(SftMethod(), BUDGET)
            yield Case(f"{name}: SFT step", sft, method.interleaved, _responses(policy, sft))


def write_model(folder: Path) -> None:
    """A random model whose rows end at any length: it writes end of sequence as often as any other token.

    A Llama, since rounding is all there is to the gradient of Qwen2's key biases. The padding token is the one that
    is never an input, since `transformers` gives padding no gradient.
    """
    write_random_model(
        folder,
        Architecture(family="llama", hidden_size=32, layers=1, intermediate_size=64),
        vocabulary=ENCODER.vocabulary_size,
        eos_id=ENCODER.eos_id,
        pad_id=ENCODER.eos_id,
        seed=0,
    )
    ENCODER.save(folder)
    tokenizer = folder / "tokenizer_config.json"
    # verl takes the padding token from here.
    values = json.loads(tokenizer.read_text())
    tokenizer.write_text(json.dumps(values | {"pad_token": values["eos_token"]}))


class ByChance(Grader):
    """Right as often as the gold answer says; the same response to the same answer is always graded alike."""

    def __init__(self) -> None:
        super().__init__(GradingSettings(verifier="exact"))

    def grade(
        self, pairs: Sequence[tuple[str, str]], progress: Callable[[int], None] | None = None
    ) -> list[Grade]:
        """See `Grader.grade`."""
        return [
            Grade(keyed.share("audit", gold, response) < float(gold), "ok", response)
            for gold, response in pairs
        ]


def _responses(policy: Policy, method: Method) -> Responses:
    return make_responses(
        policy,
        method,
        [_question(index) for index in range(len(CHANCES))],
        AT,
        encoder=ENCODER,
        grader=ByChance(),
        max_response=BUDGET,
        temperature=1.0,
    )


def _question(index: int) -> QuestionTokens:
    """A prompt and a demonstration of random tokens."""
    rng = keyed.generator("audit", index)
    prompt = rng.integers(ENCODER.eos_id + 1, ENCODER.vocabulary_size, 2 + 2 * index).tolist()
    length = DEMONSTRATIONS[index]
    demonstration = None
    if length is not None:
        written = rng.integers(ENCODER.eos_id + 1, ENCODER.vocabulary_size, length - 1).tolist()
        demonstration = (*written, ENCODER.eos_id)
    return QuestionTokens(f"q{index}", tuple(prompt), str(CHANCES[index]), demonstration)
