"""A few rollouts of a step as text, for reading: which tokens were imitated, and what each weighed in the update.

Axes: B rows (responses), L tokens of prompt and response, T response tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prefix_rft.data.encode import Encoder
from prefix_rft.local.rollouts import Responses
from prefix_rft.rollout import QuestionTokens, RolloutBatch, TokenWeights
from prefix_rft.runs.rollout_samples import RolloutSample

STRETCH = 512
"""Most tokens of a prompt, and of a response, that are written down."""
_HALF_WRITTEN = "\ufffd"


def shown_rollouts(
    responses: Responses,
    weights: TokenWeights,
    questions: Sequence[QuestionTokens],
    encoder: Encoder,
    *,
    step: int,
    count: int,
) -> list[RolloutSample]:
    """The first ordinary and the first hybrid rollout of the first questions, at most `count` in all.

    Args:
        responses: of the whole rollout step.
        weights: of their tokens.
        questions: the step's questions; `responses.batch.question_B` counts them.
        encoder: tokens to text.
        step: rollout step, from 1.
        count: 0 shows none.
    """
    return [
        _shown(responses, weights, questions, encoder, row, step) for row in _chosen(responses.batch, count)
    ]


def pieces(encoder: Encoder, ids: Sequence[int]) -> list[str]:
    """Text that every token adds; of tokens that share a character the last one has all of it."""
    return list(_pieces(encoder, ids))


def _pieces(encoder: Encoder, ids: Sequence[int]) -> Iterator[str]:
    """A token's text can depend on the one before it, so that two are read together."""
    before, begin = 0, 0
    for end in range(1, len(ids) + 1):
        known = len(encoder.decode(ids[before:begin]))
        text = encoder.decode(ids[before:end])[known:]
        if text and (end == len(ids) or not text.endswith(_HALF_WRITTEN)):
            before, begin = begin, end
            yield text
        else:
            yield ""


def _chosen(batch: RolloutBatch, count: int) -> list[int]:
    kinds = zip(batch.question_B.tolist(), batch.hybrid_B.tolist(), strict=True)
    first: dict[tuple[int, bool], int] = {}
    for row, kind in enumerate(kinds):
        first.setdefault(kind, row)
    return [first[kind] for kind in sorted(first)][:count]


def _shown(
    responses: Responses,
    weights: TokenWeights,
    questions: Sequence[QuestionTokens],
    encoder: Encoder,
    row: int,
    step: int,
) -> RolloutSample:
    batch, prompt = responses.batch, int(responses.prompt_length_B[row])
    tokens, imitated = int(batch.response_length_B[row]), int(batch.prefix_length_B[row])
    start = _start(tokens, imitated)
    end = min(tokens, start + STRETCH)
    ids = responses.ids_BL[row].tolist()
    weight_T = (weights.alpha_BT[row, start:end] + weights.beta_BT[row, start:end]).tolist()
    graded = responses.graded_B is None or bool(responses.graded_B[row])
    question = questions[int(batch.question_B[row])]
    return RolloutSample(
        step=step,
        question=question.id,
        rollout=int(batch.rollout_B[row]),
        prompt=encoder.decode(ids[max(0, prompt - STRETCH) : prompt]),
        pieces=pieces(encoder, ids[prompt + start : prompt + end]),
        weights=[float(f"{weight:.4g}") for weight in weight_T],
        imitated=imitated,
        start=start,
        tokens=tokens,
        reward=float(batch.reward_B[row]) if graded else None,
        finished=bool(responses.finished_B[row]),
    )


def _start(tokens: int, imitated: int) -> int:
    """Where the stretch begins: the end of the prefix is in its middle, if the response is longer than it."""
    return max(0, min(imitated - STRETCH // 2, tokens - STRETCH))
