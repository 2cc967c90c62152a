"""Choosing tokens from logits by inverse CDF, with a keyed uniform number for each row and response position.

Axes: B rows, N rows of logits (those of B, or fewer where several rows draw from the same), V vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prefix_rft import keyed
from prefix_rft.errors import DivergedError, TrainingError

Ints = NDArray[np.int64]

_JUST_BELOW_ONE = 1 - 2.0**-53
"""A float64 times this is the float64 just below it."""


class Sampler:
    """Draws tokens; the same key and response position give the same number in every batch."""

    def __init__(
        self, key_B: NDArray[np.uint64], positions: int, temperature: float = 1.0, top_p: float = 1.0
    ) -> None:
        """Make the numbers of all rows at once.

        Args:
            key_B: one key a row.
            positions: response positions that may be asked for.
            temperature: divides the logits; 0 takes the most likely token.
            top_p: share of the probability that is kept, the most likely tokens first; 1 keeps all.

        Raises:
            TrainingError: temperature is negative, or top_p is not in (0, 1].
        """
        if temperature < 0:
            raise TrainingError(f"temperature={temperature} is negative; 0 takes the most likely token")
        if not 0 < top_p <= 1:
            raise TrainingError(f"top_p={top_p} is not in (0, 1]; 1 keeps every token")
        self.temperature = temperature
        self.top_p = top_p
        self._uniform_BP = keyed.uniforms(key_B, np.arange(positions, dtype=np.uint64))

    def draw(self, logits_NV: Tensor, row_B: Ints, position_B: Ints, source_B: Ints | None = None) -> Tensor:
        """One token id for each row; int64 [B] on the logits' device.

        Args:
            logits_NV: the model's logits.
            row_B: which key each row has (an index into `key_B`).
            position_B: the response position to fill; out of range only where the caller forces the token.
            source_B: which of the logits each row draws from; None: each from its own.
        """
        source = None if source_B is None else torch.from_numpy(source_B).to(logits_NV.device)
        if self.temperature == 0:
            token_N = logits_NV.argmax(-1)
            return token_N if source is None else token_N[source]
        last = self._uniform_BP.shape[1] - 1
        uniform_B = self._uniform_BP[row_B, np.clip(position_B, 0, last)]
        share_NV = probabilities(logits_NV, self.temperature, self.top_p)
        return inverse_cdf(share_NV, torch.from_numpy(uniform_B), source)


def probabilities(logits_BV: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
    """Sampling probabilities, float64 [B, V]; not renormalised after the cut by `top_p`."""
    logits_BV = logits_BV.double()
    share_BV = torch.softmax(logits_BV if temperature == 1 else logits_BV.div_(temperature), -1)
    return share_BV if top_p == 1 else _nucleus(share_BV, top_p)


def inverse_cdf(share_NV: Tensor, uniform_B: Tensor, source_B: Tensor | None = None) -> Tensor:
    """The first token whose cumulative share exceeds `uniform * total`; a token of share 0 is never taken.

    Args:
        share_NV: shares, which need not sum to 1.
        uniform_B: numbers in [0, 1].
        source_B: which row of shares each number draws from; None: each from its own.

    Raises:
        DivergedError: a share is not a number.
    """
    cumulative_BV = share_NV.cumsum(-1)
    if source_B is not None:
        cumulative_BV = cumulative_BV.index_select(0, source_B)
    total_B = cumulative_BV[:, -1:]
    # Rounding may lift uniform * total to the total itself, past the last token that has any share.
    below_B = total_B * _JUST_BELOW_ONE
    target_B = torch.minimum(uniform_B.to(share_NV.device)[:, None] * total_B, below_B)
    token_B = torch.searchsorted(cumulative_BV, target_B, right=True)[:, 0]
    if len(token_B) and int(token_B.max()) == share_NV.shape[-1]:  # only NaN exceeds every share
        raise DivergedError(
            "the model gives probabilities that are not numbers: its weights have diverged or are damaged. Go on from "
            "an earlier checkpoint; in training, lower the learning rate or max_grad_norm"
        )
    return token_B


def _nucleus(share_BV: Tensor, top_p: float) -> Tensor:
    """Zero all but the smallest set of most likely tokens whose shares reach `top_p`."""
    sorted_BV, order_BV = share_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = sorted_BV.cumsum(-1) - sorted_BV
    kept_BV = torch.where(before_BV < top_p, sorted_BV, 0.0)
    return torch.zeros_like(share_BV).scatter_(-1, order_BV, kept_BV)
