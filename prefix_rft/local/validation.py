"""The look at the validation split, sampled by the embedded policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prefix_rft.data.encode import Encoder
from prefix_rft.grading import Grader
from prefix_rft.local.imitation import demonstration_nll
from prefix_rft.local.policy import Policy
from prefix_rft.rollout import QuestionTokens
from prefix_rft.settings import ValidationSettings
from prefix_rft.validation import report, sample_keys


def validate(
    policy: Policy,
    questions: Sequence[QuestionTokens],
    settings: ValidationSettings,
    *,
    encoder: Encoder,
    grader: Grader,
    max_response: int,
    micro_batch_tokens: int,
) -> dict[str, float]:
    """Sample and grade the questions that the settings ask for; see `prefix_rft.validation.report`.

    Beside them stands how likely these questions' demonstrations are, where they have some.
    """
    looked_at = questions[: settings.questions]
    asked = [question for question in looked_at for _ in range(settings.samples)]
    keys = [key for question in looked_at for key in sample_keys(question.id, settings.samples)]
    generation = policy.generate(
        [question.prompt for question in asked],
        max_new=[max_response] * len(asked),
        key_B=np.array(keys, dtype=np.uint64),
        start_B=[0] * len(asked),
        temperature=settings.temperature,
    )
    found = report(asked, generation.tokens, encoder=encoder, grader=grader)
    nll = demonstration_nll(policy, looked_at, pad_id=encoder.pad_id, micro_batch_tokens=micro_batch_tokens)
    return found if nll is None else found | {"validation/demonstration_nll": nll}
