"""The cheap look at the validation split during training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prefix_rft import keyed
from prefix_rft.data.encode import Encoder
from prefix_rft.grading import Grader
from prefix_rft.local.policy import Policy
from prefix_rft.rollout import QuestionTokens
from prefix_rft.settings import ValidationSettings


def validate(
    policy: Policy,
    questions: Sequence[QuestionTokens],
    settings: ValidationSettings,
    *,
    encoder: Encoder,
    grader: Grader,
    max_response: int,
) -> dict[str, float]:
    """Mean correctness and length of a few samples a question, without prefixes; the same draws at every look."""
    asked = [(q, sample) for q in questions[: settings.questions] for sample in range(settings.samples)]
    generation = policy.generate(
        [q.prompt for q, _ in asked],
        max_new=[max_response] * len(asked),
        key_B=np.array([keyed.key("validation", q.id, sample) for q, sample in asked], dtype=np.uint64),
        start_B=[0] * len(asked),
        temperature=settings.temperature,
    )
    pairs = [(q.answer, encoder.decode(ids)) for (q, _), ids in zip(asked, generation.tokens, strict=True)]
    grades = grader.grade(pairs)
    return {
        "validation/accuracy": sum(grade.correct for grade in grades) / len(grades),
        "validation/response_length": sum(map(len, generation.tokens)) / len(grades),
    }
