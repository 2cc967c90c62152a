"""Advantages of ordinary and hybrid rollouts, under every baseline (docs/method.md, "Advantage").

Axes: B rows (rollouts), G groups of rows with equal keys, K parts of a key. Sums are taken in float64, so
that a group answered alike gets exact zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prefix_rft.errors import SettingsError
from prefix_rft.rollout import RolloutBatch
from prefix_rft.settings.method import Baseline

STD_EPSILON = 1e-6
"""Added to a standard deviation before dividing by it (GRPO, arXiv 2402.03300)."""


@dataclass(frozen=True)
class Advantages:
    """One advantage for a row's explored tokens, one for its imitated tokens; both [B] float32."""

    own_B: Tensor
    """Explored tokens: all of an ordinary rollout, the continuation of a hybrid one."""
    prefix_B: Tensor
    """Imitated tokens; 0 for ordinary rollouts."""


def advantages(batch: RolloutBatch, baseline: Baseline, divide_by_std: bool) -> Advantages:
    """Advantages of whole questions.

    Args:
        batch: graded rows; all rollouts of a question must be in it.
        baseline: `group` centres every row on all rollouts of its question. Under the others a row's own
            group is the question's ordinary rollouts, or the rollouts that share its prefix; the baseline of
            a row alone in its group is 0 (`reference`) or its own reward (`reference_v2`).
        divide_by_std: divide by the standard deviation of the row's own group (GRPO), 1 for a row alone in
            it; never on imitated tokens.

    Raises:
        SettingsError: a question has no ordinary rollout, and `baseline` needs one.
    """
    reward_B = batch.reward_B.double()
    question = _Groups.of(batch.question_B[:, None])
    if baseline == "group":
        own = question
        centred_B = reward_B - own.mean(reward_B)
        prefix_B = centred_B
    else:
        own = _Groups.of(torch.stack([batch.question_B, batch.prefix_id_B], dim=1))
        mean_B = own.mean(reward_B)
        if baseline == "reference":
            mean_B = torch.where(own.size_B == 1, 0.0, mean_B)
        centred_B = reward_B - mean_B
        prefix_B = (centred_B - _ordinary_mean(batch, question, mean_B)) / own.size_B
    own_B = centred_B / (own.std_or_one(reward_B) + STD_EPSILON) if divide_by_std else centred_B
    return Advantages(own_B.float(), torch.where(batch.hybrid_B, prefix_B, 0.0).float())


def _ordinary_mean(batch: RolloutBatch, question: _Groups, mean_B: Tensor) -> Tensor:
    """mu_U of each row's question, from the rows' own baselines: it is that of any ordinary row."""
    ordinary_B = (~batch.hybrid_B).double()
    count_B = question.total(ordinary_B)
    if bool((count_B == 0).any()):
        raise SettingsError(
            "a question has hybrid rollouts only, which leaves this baseline undefined; "
            "set baseline=group or fewer hybrid_rollouts"
        )
    return question.total(mean_B * ordinary_B) / count_B


@dataclass(frozen=True)
class _Groups:
    """Rows grouped by equal keys; what it computes is spread back over the rows."""

    group_B: Tensor
    """int64: index of each row's group."""
    groups: int
    """G."""
    size_B: Tensor
    """float64: rows in each row's group."""

    @classmethod
    def of(cls, key_BK: Tensor) -> _Groups:
        unique_GK, group_B = torch.unique(key_BK, dim=0, return_inverse=True)
        size_G = torch.bincount(group_B, minlength=len(unique_GK)).double()
        return cls(group_B, len(unique_GK), size_G[group_B])

    def total(self, value_B: Tensor) -> Tensor:
        total_G = value_B.new_zeros(self.groups).index_add(0, self.group_B, value_B)
        return total_G[self.group_B]

    def mean(self, value_B: Tensor) -> Tensor:
        return self.total(value_B) / self.size_B

    def std_or_one(self, value_B: Tensor) -> Tensor:
        """The group's standard deviation (n - 1 in the denominator); 1 for a row that is alone."""
        variance_B = self.total((value_B - self.mean(value_B)) ** 2) / (self.size_B - 1).clamp(min=1)
        return torch.where(self.size_B == 1, 1.0, variance_B.sqrt())
