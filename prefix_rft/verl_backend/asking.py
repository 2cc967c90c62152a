"""Questions on their way to verl's agent loops, and the keys under which the responses come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tensordict import TensorDict
from verl.utils import tensordict_utils as tu

from prefix_rft.verl_backend.task import Task

Kind = Literal["q", "v"]
"""Training questions and validation ones."""


def asking(tasks: Sequence[Task], kind: Kind, step: int, **more: Any) -> TensorDict:
    """What verl sends to its agent loops.

    Args:
        tasks: one for each question.
        kind: what they are for.
        step: verl's count of rollout steps.
        more: said of all of them.
    """
    batch = tu.get_tensordict(
        {
            "uid": [uid(kind, q) for q in range(len(tasks))],
            "index": list(range(len(tasks))),
            "task": [task.dump() for task in tasks],
            "__rollout_n__": [len(task.responses) for task in tasks],
        }
    )
    for name, value in {"global_steps": step, **more}.items():
        tu.assign_non_tensor_data(batch, name, value)
    return batch


def uid(kind: Kind, question: int) -> str:
    """verl's name of a question within a rollout step."""
    return f"{kind}{question}"


def key(kind: Kind, question: int, session: int) -> str:
    """verl's name of a response."""
    return f"{uid(kind, question)}_{session}_0"
