"""The look at the validation split during training: a few samples a question, without prefixes; alike on every backend.

What it says is what an evaluation under these settings would: the same prompts, grader and averages. Only the random
numbers are its own, so that looking during training spends none of an evaluation's samples.
"""

from __future__ import annotations

from collections.abc import Sequence

from prefix_rft import keyed
from prefix_rft.data.encode import Encoder
from prefix_rft.grading import Grader
from prefix_rft.rollout import QuestionTokens


def sample_keys(question_id: str, samples: int) -> list[int]:
    """Keys of a question's samples; they do not depend on the step, so that every look draws alike."""
    return [keyed.key("validation", question_id, sample) for sample in range(samples)]


def report(
    questions: Sequence[QuestionTokens],
    responses: Sequence[Sequence[int]],
    *,
    encoder: Encoder,
    grader: Grader,
) -> dict[str, float]:
    """What a look found, by metric name.

    Args:
        questions: those asked, each as often as it was sampled.
        responses: token ids of their responses, in the same order; one that ended by itself ends in `eos_id`.
        encoder: ids to text.
        grader: the one that gives the reward.
    """
    pairs = [(q.answer, encoder.decode(ids)) for q, ids in zip(questions, responses, strict=True)]
    grades = grader.grade(pairs)
    count = len(grades)
    return {
        "validation/accuracy": sum(grade.correct for grade in grades) / count,
        "validation/response_length": sum(map(len, responses)) / count,
        "validation/truncated_share": sum(tuple(ids[-1:]) != (encoder.eos_id,) for ids in responses) / count,
        "validation/no_answer_share": sum(grade.status == "no_answer" for grade in grades) / count,
    }
