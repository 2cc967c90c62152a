"""Entropy-based clipping: which tokens of an optimizer mini-batch keep their weight.

Axes: B rows, T response tokens; n tokens of the whole mini-batch that may be clipped.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from prefix_rft.rollout import RolloutBatch
from prefix_rft.settings.method import Clipping

Select = Literal["highest", "lowest", "random"]


def needs_entropy(clipping: Clipping) -> bool:
    """Whether the choice looks at entropies: not when it is random, takes everything or takes nothing."""
    return 0 < clipping.keep < 1 and clipping.select != "random"


def kept_BT(
    batch: RolloutBatch,
    candidate_BT: Tensor,
    entropy_BT: Tensor | None,
    clipping: Clipping,
    rng: np.random.Generator,
) -> Tensor:
    """True on the candidates that keep their weight, chosen over the whole mini-batch.

    Rows are taken in the order of (question, rollout), so the choice depends neither on the order of the rows
    nor on their split into micro-batches. Other tokens are False and do not enter the choice.

    Args:
        batch: the rows of one optimizer mini-batch.
        candidate_BT: [B, T] bool: the tokens to choose from; Prefix-RFT's are the imitated ones.
        entropy_BT: [B, T] entropies in nats; None is allowed unless `needs_entropy`.
        clipping: the share and how it is selected.
        rng: used by `random` alone.

    Raises:
        ValueError: entropies are needed and not given.
    """
    if entropy_BT is None:
        if needs_entropy(clipping):
            raise ValueError(
                f"select={clipping.select!r} with keep={clipping.keep} needs the policy's entropies"
            )
        entropy_BT = torch.zeros(candidate_BT.shape, device=candidate_BT.device)
    by_rollout_B = torch.argsort(batch.rollout_B, stable=True)
    order_B = by_rollout_B[torch.argsort(batch.question_B[by_rollout_B], stable=True)]
    ordered_BT = candidate_BT[order_B]
    chosen_BT = torch.zeros_like(ordered_BT)
    chosen_BT[ordered_BT] = keep_mask(entropy_BT[order_B][ordered_BT], clipping.keep, clipping.select, rng)
    result_BT = torch.zeros_like(candidate_BT)
    result_BT[order_B] = chosen_BT
    return result_BT


def keep_mask(entropy_n: Tensor, keep: float, select: Select, rng: np.random.Generator) -> Tensor:
    """True on the tokens that are kept; [n] bool (Prefix-RFT, section 3.3 and A.2).

    The first int(n * (1 - keep)) tokens of a stable order are dropped: from the lowest entropy (`highest` is
    kept), from the highest (`lowest` is kept), or in `random` order. The earlier of equals is dropped.
    """
    count = entropy_n.numel()
    # 1 - 0.8 is 0.19999999999999996, which would drop one token too few.
    dropped = int(count * round(1.0 - keep, 9))
    if select == "random":
        order_n = torch.from_numpy(rng.permutation(count)).to(entropy_n.device)
    else:
        order_n = torch.argsort(entropy_n, stable=True, descending=select == "lowest")
    kept_n = torch.ones(count, dtype=torch.bool, device=entropy_n.device)
    kept_n[order_n[:dropped]] = False
    return kept_n
