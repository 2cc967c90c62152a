"""Our step at real size: the embedded trainer's own functions, the model run by `transformers`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from benchmarks.real_size_meter import Lap, Meter
from benchmarks.real_size_work import Cost, Play, Work, prompt_ids, response_ids, reward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefix_rft.local.rollouts import Responses
    from prefix_rft.rollout import QuestionTokens

_WARM_UP_TOKENS = 2
"""Of each given response in the step that does not count: it makes the optimizer's state, as a long one would."""


def contestant(logits_budget: int | None = None) -> Play:
    """Our contestant; a budget other than the default's says how many logits exist at once."""
    return partial(play, logits_budget=logits_budget)


def play(work: Work, logits_budget: int | None = None) -> list[Cost]:
    """See `benchmarks.real_size_work.Play`."""
    from prefix_rft.data.encode import load_encoder
    from prefix_rft.local.optimizer import Optimizer
    from prefix_rft.local.policy import load_policy
    from prefix_rft.local.rollouts import make_responses
    from prefix_rft.local.update import Batching, LossRule, update
    from prefix_rft.methods import make_method
    from prefix_rft.rollout import QuestionTokens, StepContext
    from prefix_rft.settings import LocalBackend, RftMethod, RlPhase

    size = work.size
    budget = {} if logits_budget is None else {"logits_budget": logits_budget}
    backend = LocalBackend(device=work.device, dtype=cast(Any, work.dtype), fast_path="off", **budget)
    policy, encoder = load_policy(work.model, backend), load_encoder(work.model, "plain")
    phase = RlPhase(learning_rate=work.learning_rate, mini_batches=1, questions_per_step=size.questions)
    method = make_method(RftMethod(rollouts=size.rollouts), size.response)
    optimizer, rule = Optimizer(policy, phase, 1), LossRule.of(phase, size.response)
    batching = Batching(size.micro_rows * (size.prompt + size.response), skip_zero_weight_rows=False)
    questions = [QuestionTokens(f"q{q}", tuple(prompt_ids(work, q)), "", None) for q in range(size.questions)]
    costs = []
    for step in range(1 + work.steps):
        at, meter = StepContext(0, step, 1 + work.steps), Meter(work.device)
        if size.given:
            short = _WARM_UP_TOKENS if step == 0 else size.response
            responses, written = _given(work, questions, encoder.pad_id, short), None
            meter = Meter(work.device)
        else:
            responses = make_responses(
                policy, method, questions, at, encoder=encoder, grader=cast(Any, _Stated()),
                max_response=size.response, temperature=1.0,
            )  # fmt: skip
            written = meter.lap()
        update(policy, optimizer, method, responses, rule, batching, at)
        costs.append(cost(written, meter.lap()))
    return costs[1:]


def cost(written: Lap | None, updated: Lap) -> Cost:
    """A step of two parts, or of an update alone."""
    if written is None:
        return Cost(0.0, updated.seconds, updated.cpu, 0.0, updated.peak_mb)
    cpu = written.cpu + updated.cpu
    return Cost(written.seconds, updated.seconds, cpu, written.peak_mb, updated.peak_mb)


class _Stated:
    """A grader that gives the stated rewards."""

    def grade(self, pairs: Sequence[tuple[str, str]]) -> list[Any]:
        from prefix_rft.grading import Grade

        return [Grade(reward(row) > 0, "ok", None) for row in range(len(pairs))]


def _given(work: Work, questions: list[QuestionTokens], pad_id: int, length: int) -> Responses:
    import torch

    from prefix_rft.local.rollouts import Responses
    from prefix_rft.rollout import RolloutBatch

    rows, rollouts = range(work.size.rows), work.size.rollouts
    ids = [[*questions[row // rollouts].prompt, *response_ids(work, row)[:length]] for row in rows]
    batch = RolloutBatch(
        question_B=torch.tensor([row // rollouts for row in rows]),
        rollout_B=torch.tensor([row % rollouts for row in rows]),
        prefix_id_B=torch.full((len(rows),), -1),
        prefix_length_B=torch.zeros(len(rows), dtype=torch.int64),
        response_length_B=torch.full((len(rows),), length),
        reward_B=torch.tensor([reward(row) for row in rows]),
    )
    return Responses(
        ids_BL=torch.tensor(ids),
        prompt_length_B=torch.full((len(rows),), work.size.prompt),
        batch=batch,
        finished_B=torch.zeros(len(rows), dtype=torch.bool),
        decode_steps=0,
        statuses={},
        seconds={},
    )
