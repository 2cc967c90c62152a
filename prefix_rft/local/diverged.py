"""Models whose weights, gradients or probabilities are no numbers: recognised, written down, never saved.

Axes: B rows (responses) of the whole rollout step, T response tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from prefix_rft.errors import DivergedError, TrainingError
from prefix_rft.local.policy import Policy
from prefix_rft.local.rollouts import Responses
from prefix_rft.nonfinite import Batch, Guard, NonFiniteError
from prefix_rft.rollout import QuestionTokens, StepContext

_NAMED = 5
"""Parameters that are named."""


def refuse_broken_weights(policy: Policy, source: Path | str) -> None:
    """Stop before such a model writes nonsense that only earns a reward of 0, and no error.

    Raises:
        TrainingError: a weight is not finite.
    """
    if broken := _broken(policy):
        raise TrainingError(
            f"the model {source} holds NaN or infinite weights, in {len(broken)} of its tensors ({broken[0]} is the "
            "first). Train or download it again; of a run's own model, delete that checkpoint: the run then goes "
            "on from the one before it, or from the start"
        )


def refuse_to_save(policy: Policy, step: int) -> None:
    """Stop before a checkpoint of such weights takes the place of a good one.

    Raises:
        TrainingError: a weight is not finite.
    """
    if broken := _broken(policy):
        raise TrainingError(
            f"rollout step {step}: {len(broken)} of the model's tensors hold NaN or infinite weights ({broken[0]} is "
            "the first), and no checkpoint is written. The last checkpoint is from before it: lower the learning rate "
            "or max_grad_norm"
        )


def batch_of(responses: Responses, rows: Tensor, seen_BT: Mapping[str, Tensor]) -> Batch:
    """Everything that some rows brought into a step: tokens, lengths, rewards, and what the update made of them."""
    batch, ids = responses.batch, responses.question_ids
    made = {item.name.removesuffix("_B"): getattr(batch, item.name) for item in fields(batch)}
    tensors = {"ids": responses.ids_BL, "prompt_length": responses.prompt_length_B, **made, **seen_BT}
    named = [ids[row] for row in rows.tolist()] if ids else ()
    return Batch({name: values[rows] for name, values in tensors.items()}, named)


def broken_gradients(policy: Policy) -> list[str]:
    """The first parameters whose gradient is not finite; none where only their norm is beyond float32."""
    named = policy.named_parameters()
    found = (name for name, p in named if p.grad is not None and not bool(p.grad.isfinite().all()))
    return list(islice(found, _NAMED))


def unsampled(
    error: DivergedError,
    policy: Policy,
    questions: Sequence[QuestionTokens],
    at: StepContext,
    *,
    guard: Guard,
    pad_id: int,
) -> TrainingError:
    """The error of a rollout step that no response could be sampled for; its prompts are written down."""
    width = max(len(question.prompt) for question in questions)
    ids_BL = [[*q.prompt, *[pad_id] * (width - len(q.prompt))] for q in questions]
    lengths_B = torch.tensor([len(question.prompt) for question in questions])
    batch = Batch({"ids": torch.tensor(ids_BL), "prompt_length": lengths_B}, [q.id for q in questions])
    found = NonFiniteError("sampling probabilities", weights=_broken(policy)[:_NAMED])
    return guard.refuse(found, str(error), at, batch)


def _broken(policy: Policy) -> list[str]:
    """Names of the parameters that hold NaN or an infinity."""
    return [name for name, weight in policy.named_parameters() if not bool(weight.isfinite().all())]
