"""Causal attention over distinct tokens, forward and backward: small products of many windows in few calls.

PyTorch's attention of short rows with small heads is slow on a CPU, its backward pass most of all, and knows nothing
of tokens that rows share.

Axes: n distinct tokens, h heads, k heads of keys and values, g = h / k, s head size, R pieces of a window, Q queries,
K keys, q = g Q, m = R k, a everything that is gathered, o everything that is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from prefix_rft.local.convert import Shape
from prefix_rft.local.windows import Ints, Window

_KEPT = 1 << 23
"""Most attention weights of a layer that are kept for the backward pass; more are computed anew there."""


@dataclass(frozen=True)
class _Part:
    """Where one window's queries, keys, values and outputs lie."""

    rows: int
    queries: int
    keys: int
    query: slice
    key: slice
    value: slice
    out: slice
    mask_RQK: Tensor


@dataclass(frozen=True)
class Attention:
    """What the attention of all layers has in common: where everything is found and goes."""

    shape: Shape
    parts: tuple[_Part, ...]
    index_a: Tensor
    """Rows of the projection seen as [n * (h + 2k), s] that are gathered: queries, keys and values of each window."""
    place_nh: Tensor
    """Where each head's output of each token is written; flattened."""
    outputs: int
    """Rows of s numbers that are written, padding included."""
    kept: bool
    """Whether the attention weights are kept for the backward pass."""

    @classmethod
    def of(cls, windows: Sequence[Window], tokens: int, shape: Shape, device: torch.device) -> Attention:
        """Lay out the windows of `tokens` distinct tokens."""
        parts, index, gathered, written = [], [], 0, 0
        place_nh = np.zeros((tokens, shape.heads), np.int64)
        for window in windows:
            (rows, queries), keys = window.query_RQ.shape, window.key_RK.shape[1]
            rows *= shape.key_value_heads
            index += _gathered(window, shape)
            sizes = window.query_RQ.size * shape.heads, rows * keys, rows * keys
            query, key, value = _slices(gathered, sizes)
            out = slice(written, written + sizes[0])
            _note_places(place_nh, window.query_RQ, written)
            mask_RQK = torch.from_numpy(window.mask_RQK).to(device)
            parts.append(_Part(rows, queries, keys, query, key, value, out, mask_RQK))
            gathered, written = value.stop, out.stop
        index_a = torch.from_numpy(np.concatenate(index)).to(device)
        weights = sum(part.mask_RQK.numel() for part in parts) * shape.heads
        place = torch.from_numpy(place_nh.ravel()).to(device)
        return cls(shape, tuple(parts), index_a, place, written, weights <= _KEPT)

    def __call__(self, y_nd: Tensor) -> Tensor:
        """Output of the heads of each token; [n, h * s].

        Args:
            y_nd: rotated queries, divided by the root of the head size, and keys, and values; [n, (h + 2k) * s].
        """
        out: Tensor = _Attend.apply(y_nd, self)  # type: ignore[no-untyped-call]
        return out

    def weights(self, part: _Part, gathered_as: Tensor) -> Tensor:
        """Attention weights of one window; [m, g Q, K]."""
        query_mqs, key_mKs, _ = self.inputs(part, gathered_as)
        score_mqK = torch.bmm(query_mqs, key_mKs.transpose(1, 2))
        score_RhQK = score_mqK.view(len(part.mask_RQK), self.shape.heads, part.queries, part.keys)
        score_RhQK += part.mask_RQK[:, None]
        return torch.softmax(score_mqK, -1)

    def inputs(self, part: _Part, gathered_as: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [m, g Q, s], keys and values [m, K, s] of one window, as views."""
        query_mqs, key_mKs, value_mKs = (
            gathered_as[where].view(part.rows, -1, self.shape.head_size)
            for where in (part.query, part.key, part.value)
        )
        return query_mqs, key_mKs, value_mKs


def _gathered(window: Window, shape: Shape) -> list[Ints]:
    """Rows of the projection that a window's queries, keys and values are; head before token."""
    all_heads = shape.heads + 2 * shape.key_value_heads
    query_RhQ = np.maximum(window.query_RQ, 0)[:, None] * all_heads + np.arange(shape.heads)[:, None]
    key_head_k1 = shape.heads + np.arange(shape.key_value_heads)[:, None]
    key_RkK = window.key_RK[:, None] * all_heads + key_head_k1
    return [query_RhQ.ravel(), key_RkK.ravel(), (key_RkK + shape.key_value_heads).ravel()]


def _slices(start: int, sizes: Sequence[int]) -> list[slice]:
    ends = start + np.cumsum(sizes)
    return [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]


def _note_places(place_nh: Ints, query_RQ: Ints, start: int) -> None:
    """Write down where a window's outputs go: [R, h, Q], from `start` on."""
    row, query = (query_RQ >= 0).nonzero()
    heads, queries = place_nh.shape[1], query_RQ.shape[1]
    first = start + row * heads * queries + query
    place_nh[query_RQ[row, query]] = first[:, None] + np.arange(heads) * queries


class _Attend(Function):
    @staticmethod
    def forward(ctx: Any, y_nd: Tensor, plan: Attention) -> Tensor:
        size = plan.shape.head_size
        gathered_as = y_nd.view(-1, size).index_select(0, plan.index_a)
        out_os = y_nd.new_empty(plan.outputs, size)
        weights = []
        for part in plan.parts:
            weight_mqK = plan.weights(part, gathered_as)
            value_mKs = plan.inputs(part, gathered_as)[2]
            torch.bmm(weight_mqK, value_mKs, out=out_os[part.out].view(part.rows, -1, size))
            weights += [weight_mqK] if plan.kept else []
        ctx.save_for_backward(gathered_as, *weights)
        ctx.plan, ctx.size = plan, y_nd.shape
        return out_os.index_select(0, plan.place_nh).view(len(y_nd), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_nd: Tensor) -> tuple[Tensor, None]:
        plan: Attention = ctx.plan
        gathered_as, *weights = ctx.saved_tensors
        # Nothing is asked of padding: its gradient stays zero.
        grad_os = grad_nd.new_zeros(plan.outputs, plan.shape.head_size)
        grad_os.index_copy_(0, plan.place_nh, grad_nd.reshape(-1, plan.shape.head_size))
        found_as = torch.empty_like(gathered_as)
        for number, part in enumerate(plan.parts):
            weight_mqK = weights[number] if plan.kept else plan.weights(part, gathered_as)
            grad_mqs = grad_os[part.out].view(part.rows, -1, plan.shape.head_size)
            _backward(plan.inputs(part, gathered_as), weight_mqK, grad_mqs, plan.inputs(part, found_as))
        grad_nd = grad_nd.new_zeros(ctx.size)
        grad_nd.view(-1, plan.shape.head_size).index_add_(0, plan.index_a, found_as)
        return grad_nd, None


def _backward(
    inputs: tuple[Tensor, Tensor, Tensor],
    weight_mqK: Tensor,
    grad_mqs: Tensor,
    found: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Write the gradients of a window's queries, keys and values."""
    query_mqs, key_mKs, value_mKs = inputs
    torch.bmm(weight_mqK.transpose(1, 2), grad_mqs, out=found[2])
    grad_mqK = torch.bmm(grad_mqs, value_mKs.transpose(1, 2))
    grad_mqK = torch._softmax_backward_data(grad_mqK, weight_mqK, -1, grad_mqK.dtype)
    torch.bmm(grad_mqK, key_mKs, out=found[0])
    torch.bmm(grad_mqK.transpose(1, 2), query_mqs, out=found[1])
