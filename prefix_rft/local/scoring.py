"""Log-probabilities and entropies of a rollout step's rows, in micro-batches.

Axes: B rows (responses) of the whole rollout step, T response tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from prefix_rft.local.policy import Policy
from prefix_rft.local.rollouts import Responses


class Split(Protocol):
    """How rows are cut into micro-batches."""

    def __call__(self, length_B: Tensor, /) -> list[Tensor]:
        """Positions in `length_B` (tokens of each row, prompt included), every one in exactly one part."""


@dataclass(frozen=True)
class TokenBudget:
    """Rows by length, cut so that rows times longest row stays within the budget."""

    tokens: int
    """Budget of one forward pass; a longer row goes alone."""

    def __call__(self, length_B: Tensor, /) -> list[Tensor]:
        """See `Split`."""
        order = length_B.argsort(stable=True)
        groups: list[list[int]] = []
        for position, length in zip(order.tolist(), length_B[order].tolist(), strict=True):
            if not groups or (len(groups[-1]) + 1) * length > self.tokens:
                groups.append([])
            groups[-1].append(position)
        return [torch.tensor(group) for group in groups]


@dataclass(frozen=True)
class Parts:
    """So many parts of consecutive rows, whose row counts differ by 1 at most; fewer where there are fewer rows."""

    count: int

    def __call__(self, length_B: Tensor, /) -> list[Tensor]:
        """See `Split`."""
        parts = torch.arange(len(length_B)).tensor_split(self.count)
        return [part for part in parts if len(part)]


@dataclass(frozen=True)
class Uneven:
    """Consecutive rows: one, then two, four and so on; the last part takes what is left."""

    def __call__(self, length_B: Tensor, /) -> list[Tensor]:
        """See `Split`."""
        cuts = [2**k - 1 for k in range(1, len(length_B).bit_length())]
        parts = torch.arange(len(length_B)).tensor_split(cuts)
        return [part for part in parts if len(part)]


@dataclass(frozen=True)
class Scorer:
    """A policy's view of the responses; rows are named by their index in the rollout step."""

    policy: Policy
    responses: Responses
    temperature: float
    split: Split

    def forward(self, rows: Tensor, *, with_entropy: bool) -> tuple[Tensor, Tensor | None]:
        """One pass over these rows, differentiable: two [rows, longest response of them] tensors."""
        prompt_length_B = self.responses.prompt_length_B[rows]
        response_length_B = self.responses.batch.response_length_B[rows]
        longest = int((prompt_length_B + response_length_B).max())
        return self.policy.logprobs(
            self.responses.ids_BL[rows, :longest],
            prompt_length_B,
            response_length_B,
            with_entropy=with_entropy,
            temperature=self.temperature,
        )

    @torch.no_grad()
    def logprobs(self, rows: Tensor) -> Tensor:
        """Log-probabilities under the policy as it is now; [B, T], zeros on all other rows."""
        logp_BT = self._zeros()
        for micro in self.micro_batches(rows):
            found_BT, _ = self.forward(micro, with_entropy=False)
            logp_BT[micro, : found_BT.shape[1]] = found_BT
        return logp_BT

    @torch.no_grad()
    def entropies(self, rows: Tensor) -> Tensor:
        """Entropies (nats) under the policy as it is now; [B, T], zeros on all other rows."""
        entropy_BT = self._zeros()
        for micro in self.micro_batches(rows):
            _, found_BT = self.forward(micro, with_entropy=True)
            assert found_BT is not None
            entropy_BT[micro, : found_BT.shape[1]] = found_BT
        return entropy_BT

    def micro_batches(self, rows: Tensor) -> list[Tensor]:
        """These rows, cut by the split."""
        length_B = self.responses.prompt_length_B[rows] + self.responses.batch.response_length_B[rows]
        return [rows[part] for part in self.split(length_B)]

    def _zeros(self) -> Tensor:
        return torch.zeros(len(self.responses.batch), self.responses.batch.width)
