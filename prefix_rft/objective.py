"""The surrogate of one micro-batch and the scale of its rows, which together make a mini-batch's loss.

A micro-batch's loss is `(loss_BT * scale_B[:, None]).sum()` with the scale of the whole mini-batch: the
gradient of a mini-batch is then a sum over its rows and cannot depend on how the rows are split.

Axes: B rows, T response tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from prefix_rft.rollout import RolloutBatch, TokenWeights
from prefix_rft.settings.optimisation import Aggregation

Imitation = Literal["ratio", "clipped_ratio", "likelihood", "shaped"]
"""How an imitated token's weight meets its log-probability.

ratio: weight * exp(logp - old_logp), unclipped; clipped_ratio: the same under the PPO clip of explored
tokens; likelihood: weight * logp (supervised); shaped: weight * p / (p + gamma), p = exp(logp) (LUFFY).
"""
ImitatedScale = Literal["shared", "token_mean"]
"""How imitated tokens are aggregated: with the explored ones, or by a mean over all of a mini-batch."""


@dataclass(frozen=True)
class PpoClip:
    """Bounds of the probability ratio (arXiv 1707.06347; dual clip: arXiv 1912.09729)."""

    low: float = 0.2
    """Ratios below 1 - low are clipped."""
    high: float = 0.2
    """Ratios above 1 + high are clipped."""
    dual: float = 3.0
    """Bound on the ratio where the weight is negative."""
    explored: bool = True
    """Whether explored tokens are clipped at all."""


@dataclass(frozen=True)
class ImitationRule:
    """How imitated tokens enter the loss; a method states it."""

    form: Imitation = "likelihood"
    shaping: float = 0.1
    """gamma of `shaped`."""
    scale: ImitatedScale = "shared"


@dataclass(frozen=True)
class Surrogate:
    """Token losses, before aggregation, and sums that add up over micro-batches."""

    loss_BT: Tensor
    """Loss of each response token, differentiable; zero beyond the response."""
    clipped: Tensor
    """Tokens whose ratio PPO's bounds would cut; they are counted also where nothing is cut."""
    log_ratio: Tensor
    """Sum of old_logp - logp, the usual estimate of KL(old, new) times `tokens`."""
    tokens: Tensor
    """Tokens with a ratio: all response tokens, without imitated ones where their form has none."""


def surrogate(
    logp_BT: Tensor,
    old_logp_BT: Tensor,
    weights: TokenWeights,
    *,
    response_BT: Tensor,
    imitated_BT: Tensor,
    imitation: ImitationRule,
    clip: PpoClip,
) -> Surrogate:
    """Losses whose gradient at logp = old_logp is -weight * grad logp, for every form but `shaped`.

    A shaped token's is -weight * gamma * p / (p + gamma)^2 * grad logp.

    Args:
        logp_BT: log-probabilities under the policy being updated.
        old_logp_BT: the same before the rollout step's first optimizer step, without gradient; a supervised
            method passes `logp_BT.detach()`.
        weights: alpha on explored tokens, beta on imitated ones.
        response_BT: True on the response, prefix included.
        imitated_BT: True on its imitated tokens.
        imitation: how imitated tokens enter (its `scale` is used by `token_scale`).
        clip: PPO's bounds.
    """
    log_ratio_BT = torch.where(response_BT, logp_BT - old_logp_BT, torch.zeros_like(logp_BT))
    ratio_BT = log_ratio_BT.exp()
    weight_BT = torch.where(imitated_BT, weights.beta_BT, weights.alpha_BT)
    clipped_loss_BT, cut_BT = _clipped(weight_BT, ratio_BT, clip)
    match imitation.form:
        case "ratio":
            imitated_loss_BT = -weight_BT * ratio_BT
        case "clipped_ratio":
            imitated_loss_BT = clipped_loss_BT
        case "likelihood":
            imitated_loss_BT = -weight_BT * logp_BT
        case "shaped":
            p_BT = logp_BT.exp()
            imitated_loss_BT = -weight_BT * p_BT / (p_BT + imitation.shaping)
    explored_loss_BT = clipped_loss_BT if clip.explored else -weight_BT * ratio_BT
    loss_BT = torch.where(imitated_BT, imitated_loss_BT, explored_loss_BT)
    has_ratio = imitation.form in ("ratio", "clipped_ratio")
    ratio_tokens_BT = response_BT if has_ratio else response_BT & ~imitated_BT
    return Surrogate(
        loss_BT=torch.where(response_BT, loss_BT, torch.zeros_like(loss_BT)),
        clipped=(cut_BT & ratio_tokens_BT).sum(),
        log_ratio=-(log_ratio_BT.detach() * ratio_tokens_BT).sum(),
        tokens=ratio_tokens_BT.sum(),
    )


def token_scale(
    batch: RolloutBatch, aggregation: Aggregation, constant: int, imitated: ImitatedScale = "shared"
) -> Tensor:
    """What each token's loss is multiplied by, so that a mini-batch's loss is a sum; [B, T] float32.

    With `shared`, a row is all its response tokens. With `token_mean`, imitated tokens share one mean of their own, and
    the aggregation covers the explored tokens of those rows that have any.

    Args:
        batch: the whole mini-batch.
        aggregation: how token losses become the loss of a mini-batch.
        constant: C, the maximum response length.
        imitated: how imitated tokens are aggregated.
    """
    imitated_BT = batch.imitated_BT()
    if imitated == "shared":
        length_B = batch.response_length_B
        scale_B = row_scale(aggregation, length_B, len(batch), int(length_B.sum()), constant)
        return scale_B[:, None].expand(imitated_BT.shape)
    length_B = batch.explored_BT().sum(dim=1)
    rows = max(1, int((length_B > 0).sum()))
    scale_B = row_scale(aggregation, length_B.clamp(min=1), rows, max(1, int(length_B.sum())), constant)
    mean = scale_B.new_tensor(1.0 / max(1, int(imitated_BT.sum())))
    return torch.where(imitated_BT, mean, scale_B[:, None])


def row_scale(
    aggregation: Aggregation, response_length_B: Tensor, sequences: int, total_tokens: int, constant: int
) -> Tensor:
    """What each row's token losses are multiplied by; [B] float32.

    Args:
        aggregation: how token losses become the loss of a mini-batch.
        response_length_B: response tokens of these rows, prefix included.
        sequences: rows of the whole mini-batch, also those that are skipped or sit in another micro-batch.
        total_tokens: response tokens of the whole mini-batch, counted alike.
        constant: C, the maximum response length (Dr.GRPO, arXiv 2503.20783).
    """
    length_B = response_length_B.float()
    match aggregation:
        case "constant":
            return torch.full_like(length_B, 1.0 / (constant * sequences))
        case "token_mean":
            return torch.full_like(length_B, 1.0 / total_tokens)
        case "seq_mean_token_sum":
            return torch.full_like(length_B, 1.0 / sequences)
        case "seq_mean_token_mean":
            return 1.0 / (length_B * sequences)


def entropy_bonus(entropy_BT: Tensor, explored_BT: Tensor, coefficient: float) -> Tensor:
    """Token losses [B, T] that reward entropy (nats) on explored tokens; aggregated as the surrogate is."""
    return torch.where(explored_BT, -coefficient * entropy_BT, torch.zeros_like(entropy_BT))


def _clipped(weight_BT: Tensor, ratio_BT: Tensor, clip: PpoClip) -> tuple[Tensor, Tensor]:
    """PPO's pessimistic loss with the dual clip, and where its bounds cut the ratio."""
    plain_BT = -weight_BT * ratio_BT
    bounded_BT = -weight_BT * ratio_BT.clamp(1 - clip.low, 1 + clip.high)
    loss_BT = torch.maximum(plain_BT, bounded_BT)
    dual_BT = torch.minimum(loss_BT, -weight_BT * clip.dual)
    return torch.where(weight_BT < 0, dual_BT, loss_BT), bounded_BT > plain_BT
