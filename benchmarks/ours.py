"""Our rollout steps: the embedded trainer's own functions, plain RFT (Dr.GRPO)."""

from __future__ import annotations

from functools import partial
from typing import Literal

from benchmarks.phases import Phases, watched
from benchmarks.steps import Clock, Play, Turns, Work

Dtype = Literal["float32", "bfloat16"]


def contestant(*, skip_zero_rows: bool, micro_batch_tokens: int, dtype: Dtype = "float32") -> Play:
    """A contestant that updates all rows, or leaves out those whose advantage is zero."""
    return partial(_play, skip_zero_rows=skip_zero_rows, micro_batch_tokens=micro_batch_tokens, dtype=dtype)


def _play(work: Work, turns: Turns, *, skip_zero_rows: bool, micro_batch_tokens: int, dtype: Dtype) -> None:
    from benchmarks.task import chain
    from prefix_rft import data
    from prefix_rft.data.encode import encode_questions, load_encoder
    from prefix_rft.grading import make_grader
    from prefix_rft.local.optimizer import Optimizer
    from prefix_rft.local.policy import load_policy
    from prefix_rft.local.rollouts import make_responses
    from prefix_rft.local.update import Batching, LossRule, update
    from prefix_rft.methods import make_method
    from prefix_rft.rollout import StepContext
    from prefix_rft.settings import LocalBackend, RftMethod, RlPhase

    settings = chain(work.max_new)
    phase = RlPhase(
        learning_rate=work.learning_rate, beta2=0.99, mini_batches=1, questions_per_step=work.questions
    )
    policy, encoder = load_policy(work.model, LocalBackend(dtype=dtype)), load_encoder(work.model)
    questions = encode_questions(data.load(settings).train, encoder, settings).questions
    method = make_method(RftMethod(rollouts=work.rollouts), settings.max_response_tokens)
    optimizer, rule = Optimizer(policy, phase, 1), LossRule.of(phase, work.max_new)
    batching, phases = Batching(micro_batch_tokens, skip_zero_rows), Phases()
    step = 0
    with make_grader(settings.grading) as grader, watched(phases, policy, optimizer):
        while turns.wait():
            clock = Clock()
            at = StepContext(0, step, 1)
            first = step * work.questions
            chosen = [questions[i % len(questions)] for i in range(first, first + work.questions)]
            responses = make_responses(
                policy, method, chosen, at, encoder=encoder, grader=grader,
                max_response=work.max_new, temperature=rule.temperature,
            )  # fmt: skip
            update(policy, optimizer, method, responses, rule, batching, at)
            step += 1
            for name in ("generate", "grade"):
                phases.add(name, responses.seconds[name])
            sampled = int(responses.batch.response_length_B.sum())
            turns.done(
                clock.cost(sampled, phases=phases, decode_steps=responses.decode_steps, path=policy.path)
            )
