"""Log-probabilities and entropies of a rollout step's rows, in micro-batches by token budget.

Axes: B rows (responses) of the whole rollout step, T response tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prefix_rft.local.policy import Policy
from prefix_rft.local.rollouts import Responses


@dataclass(frozen=True)
class Scorer:
    """A policy's view of the responses; rows are named by their index in the rollout step."""

    policy: Policy
    responses: Responses
    temperature: float
    micro_batch_tokens: int
    """Token budget (rows times longest row) of one forward pass; a longer row goes alone."""

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
        """These rows by length, cut so that rows times longest row stays within the token budget."""
        length_B = self.responses.prompt_length_B[rows] + self.responses.batch.response_length_B[rows]
        order = length_B.argsort(stable=True)
        groups: list[list[int]] = []
        for row, length in zip(rows[order].tolist(), length_B[order].tolist(), strict=True):
            if not groups or (len(groups[-1]) + 1) * length > self.micro_batch_tokens:
                groups.append([])
            groups[-1].append(row)
        return [torch.tensor(group) for group in groups]

    def _zeros(self) -> Tensor:
        return torch.zeros(len(self.responses.batch), self.responses.batch.width)
