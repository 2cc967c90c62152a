"""How likely demonstrations are under the policy: where a method stands between imitation and exploration.

Axes: B rows (demonstrations), L tokens of prompt and response, T response tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from prefix_rft.local.policy import Policy
from prefix_rft.local.scoring import TokenBudget
from prefix_rft.rollout import QuestionTokens


@torch.no_grad()
def demonstration_nll(
    policy: Policy, questions: Sequence[QuestionTokens], *, pad_id: int, micro_batch_tokens: int
) -> float | None:
    """Mean negative log-likelihood of the questions' demonstrations, in nats a token, at temperature 1.

    It is the SFT loss on them (`token_mean`); nothing is drawn.

    Args:
        policy: as it is now.
        questions: those without a demonstration are left out.
        pad_id: any token id.
        micro_batch_tokens: budget of one forward pass.

    Returns:
        None where no question has a demonstration.
    """
    rows = [(question.prompt, question.demonstration) for question in questions if question.demonstration]
    if not rows:
        return None
    prompt_length_B = torch.tensor([len(prompt) for prompt, _ in rows])
    response_length_B = torch.tensor([len(response) for _, response in rows])
    length_B = prompt_length_B + response_length_B
    ids_BL = torch.full((len(rows), int(length_B.max())), pad_id)
    for i, (prompt, response) in enumerate(rows):
        ids_BL[i, : length_B[i]] = torch.tensor([*prompt, *response])
    total = 0.0
    for part in TokenBudget(micro_batch_tokens)(length_B):
        logp_BT, _ = policy.logprobs(
            ids_BL[part, : int(length_B[part].max())],
            prompt_length_B[part],
            response_length_B[part],
            with_entropy=False,
        )
        total -= float(logp_BT.double().sum())
    return total / int(response_length_B.sum())
