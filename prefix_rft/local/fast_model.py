"""Qwen2 and Llama rewritten for small models: fused weights, few kernel calls, no attention mask.

Axes: B rows, L tokens, n = B * L tokens flattened (or those of them that are kept), h heads, k heads of keys
and values, s head size, d width, f inner width of the feed-forward part, V vocabulary.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional

from prefix_rft.local.convert import Shape
from prefix_rft.local.packing import Packed
from prefix_rft.local.shared_attention import Attention


class FastModel(nn.Module):
    """A causal language model on right-padded rows: causal attention keeps padding out of real tokens."""

    _rotation_Ls: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = _empty(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = _empty(shape.width)
        self.head = None if shape.tied else _empty(shape.vocabulary, shape.width)
        self.register_buffer("_rotation_Ls", _rotations(shape), persistent=False)

    @property
    def layers(self) -> list[Block]:
        """The blocks, first to last."""
        return cast("list[Block]", list(self.blocks))

    def hidden(self, packed: Packed) -> Tensor:
        """Last hidden states that predict the distinct response tokens; [e, d].

        They are normalised, without the last norm's gain, which `head_weight` carries. The end of the last block runs
        on these only.
        """
        device = self.embedding.device
        token_n, position_n, source_e = (
            torch.from_numpy(index).to(device)
            for index in (packed.token_n, packed.position_n, packed.source_e)
        )
        attention = Attention.of(packed.windows, len(token_n), self.shape, device)
        turn_nhs = self.turns(int(packed.position_n.max()) + 1)[position_n]
        x_nd = functional.embedding(token_n, self.embedding)
        *earlier, last = self.layers
        for block in earlier:
            x_nd = block.feed(x_nd, attention(block.project(x_nd, turn_nhs)))
        heads_ed = attention(last.project(x_nd, turn_nhs)).index_select(0, source_e)
        x_ed = last.feed(x_nd.index_select(0, source_e), heads_ed)
        return normalise(x_ed, self.shape.norm_eps)

    def turns(self, length: int) -> Tensor:
        """Factors of the first positions; [L, h + 2k, s / 2].

        They are rotations of queries and keys, the queries' with the factor 1 / sqrt(s) of attention, and ones for
        values. One product then serves the whole fused projection, which is cheaper than to take it apart first.
        """
        shape = self.shape
        rotation_L1s = self._rotation_Ls[:length, None]
        query_Lhs = (rotation_L1s * shape.head_size**-0.5).expand(-1, shape.heads, -1)
        key_Lks = rotation_L1s.expand(-1, shape.key_value_heads, -1)
        return torch.cat([query_Lhs, key_Lks, torch.ones_like(key_Lks)], 1)

    def head_weight(self) -> Tensor:
        """Output embedding times the gain of the last norm; [V, d]."""
        return (self.embedding if self.head is None else self.head) * self.norm


class Block(nn.Module):
    """One transformer block; the gains of its norms are multiplied into the weights that follow them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        heads_out = shape.heads * shape.head_size
        qkv_out = heads_out + 2 * shape.key_value_heads * shape.head_size
        self.shape = shape
        self.attention_norm = _empty(shape.width)
        self.qkv = _empty(qkv_out, shape.width)
        self.qkv_bias = _empty(qkv_out) if shape.qkv_bias else None
        self.out = _empty(shape.width, heads_out)
        self.feed_norm = _empty(shape.width)
        self.gate_up = _empty(2 * shape.inner, shape.width)
        self.down = _empty(shape.width, shape.inner)

    def project(self, x_nd: Tensor, turn_nhs: Tensor) -> Tensor:
        """Rotated queries and keys, the queries divided by the root of s, and values; [n, (h + 2k) s]."""
        y_nd = functional.linear(
            normalise(x_nd, self.shape.norm_eps), self.qkv * self.attention_norm, self.qkv_bias
        )
        return _call(_Rotate, y_nd, turn_nhs)

    def split_heads(self, y_BLd: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, h, L, s], keys and values [B, k, L, s] of a projection."""
        shape = self.shape
        y_BLhs = y_BLd.view(*y_BLd.shape[:2], -1, shape.head_size)
        sizes = [shape.heads, shape.key_value_heads, shape.key_value_heads]
        q_BLhs, k_BLks, v_BLks = torch.split(y_BLhs, sizes, 2)
        return q_BLhs.transpose(1, 2), k_BLks.transpose(1, 2), v_BLks.transpose(1, 2)

    def feed(self, x_nd: Tensor, heads_nd: Tensor) -> Tensor:
        """The rest of the block, token by token; [n, d]."""
        x_nd = torch.addmm(x_nd, heads_nd, self.out.t())
        gate_up_nf = functional.linear(normalise(x_nd, self.shape.norm_eps), self.gate_up * self.feed_norm)
        return torch.addmm(x_nd, _call(_SwiGlu, gate_up_nf), self.down.t())


def attention(q_BhLs: Tensor, k_BkLs: Tensor, v_BkLs: Tensor) -> Tensor:
    """Causal attention of whole rows, whose queries carry its factor already; [n, h * s]."""
    grouped = q_BhLs.shape[1] != k_BkLs.shape[1]
    heads_BhLs = functional.scaled_dot_product_attention(
        q_BhLs, k_BkLs, v_BkLs, is_causal=True, enable_gqa=grouped, scale=1.0
    )
    return heads_BhLs.transpose(1, 2).flatten(2).flatten(0, 1)


def normalise(x_nd: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps): RMSNorm without its gain."""
    return _call(_RmsNorm, x_nd, eps)


def rotate(x_nd: Tensor, turn_nhs: Tensor) -> Tensor:
    """Rotary embedding: neighbours in a head are real and imaginary part of one number."""
    pairs = torch.view_as_complex(x_nd.view(-1, *turn_nhs.shape[-2:], 2))
    return torch.view_as_real(pairs * turn_nhs).view_as(x_nd)


def _rotations(shape: Shape) -> Tensor:
    """Unit complex numbers of the rotary embedding; complex64 [positions, s / 2]."""
    frequency_s = shape.rope_theta ** -(torch.arange(0, shape.head_size, 2).float() / shape.head_size)
    angle_Ls = torch.arange(shape.max_positions).float()[:, None] * frequency_s
    return torch.polar(torch.ones_like(angle_Ls), angle_Ls)


def _call(function: type[Function], *inputs: Tensor | float) -> Tensor:
    out: Tensor = function.apply(*inputs)  # type: ignore[no-untyped-call]
    return out


def _empty(*size: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(size))


class _RmsNorm(Function):
    @staticmethod
    def forward(ctx: Any, x_nd: Tensor, eps: float) -> Tensor:
        length_n1 = torch.linalg.vector_norm(x_nd, dim=-1, keepdim=True)
        scale_n1 = length_n1.square_().div_(x_nd.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x_nd, scale_n1)
        out_nd: Tensor = x_nd * scale_n1
        return out_nd

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_nd: Tensor) -> tuple[Tensor, None]:
        x_nd, scale_n1 = ctx.saved_tensors
        along_n1 = (grad_nd * x_nd).sum(-1, keepdim=True)
        along_n1.mul_(scale_n1.square()).div_(-x_nd.shape[-1])
        return torch.addcmul(grad_nd, x_nd, along_n1).mul_(scale_n1), None


class _SwiGlu(Function):
    """silu(gate) * up of the two halves of the input."""

    @staticmethod
    def forward(ctx: Any, gate_up_nf: Tensor) -> Tensor:
        gate_nf, up_nf = gate_up_nf.chunk(2, -1)
        silu_nf = functional.silu(gate_nf)
        ctx.save_for_backward(gate_up_nf, silu_nf)
        return silu_nf * up_nf

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_nf: Tensor) -> Tensor:
        gate_up_nf, silu_nf = ctx.saved_tensors
        gate_nf, up_nf = gate_up_nf.chunk(2, -1)
        out_nf = torch.empty_like(gate_up_nf)
        gate_grad_nf, up_grad_nf = out_nf.chunk(2, -1)
        torch.ops.aten.silu_backward.grad_input(grad_nf * up_nf, gate_nf, grad_input=gate_grad_nf)
        torch.mul(grad_nf, silu_nf, out=up_grad_nf)
        return out_nf


class _Rotate(Function):
    @staticmethod
    def forward(ctx: Any, x_nd: Tensor, turn_nhs: Tensor) -> Tensor:
        ctx.turn_nhs = turn_nhs
        return rotate(x_nd, turn_nhs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_nd: Tensor) -> tuple[Tensor, None]:
        return rotate(grad_nd, ctx.turn_nhs.conj()), None
