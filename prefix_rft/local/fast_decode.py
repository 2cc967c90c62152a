"""Decoding with the fast model: all rows stand at one position, and tokens known already are forced.

Prompts and prefixes of different lengths then need neither left padding nor a mask, and a prefix is never
written again: decoding begins at the end of the shortest row, and what longer rows know is read, not sampled.

Axes: B rows, L positions, h heads, k heads of keys and values, g = h / k, s head size, d width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from prefix_rft.local.fast_model import Block, FastModel, attention, rotate
from prefix_rft.local.generation import Rows
from prefix_rft.local.sampling import Sampler

Ids = NDArray[np.int64]

_COMPACT_BELOW = 0.95
"""Finished rows are dropped once less than this share is left."""
_LOOP_BELOW = 400
"""With fewer multiplications a matrix, PyTorch's batched product takes a plain loop, several times slower."""


@torch.inference_mode()
def decode(model: FastModel, rows: Rows, sampler: Sampler) -> tuple[list[list[int]], int]:
    """New tokens of each row, and the number of decode steps."""
    ids_BL = rows.table()
    first, width = int(rows.length_B.min()) - 1, ids_BL.shape[1]
    decoder = _Decoder(model, ids_BL[:, :first], width)
    end_B, live = rows.limit_B.copy(), np.arange(len(ids_BL))
    going = np.ones(len(live), bool)
    position = first
    while going.any():
        logits_BV = decoder.step(ids_BL[live, position], position)
        position += 1
        known = rows.length_B[live] > position
        token_B = _fill(logits_BV, ids_BL, rows, live, position, known, sampler)
        stopped = going & ~known & rows.stops_B(token_B)
        end_B[live[stopped]] = position + 1
        going &= ~stopped & (rows.limit_B[live] > position + 1)
        if 0 < going.sum() < _COMPACT_BELOW * len(live):
            order = _closing_ranks(going)
            decoder.keep(order, position)
            live, going = live[order], going[order]
    tokens = [ids_BL[row, rows.length_B[row] : end].tolist() for row, end in enumerate(end_B)]
    return tokens, position - first


def _fill(
    logits_BV: Tensor,
    ids_BL: Ids,
    rows: Rows,
    live: Ids,
    position: int,
    known: NDArray[np.bool_],
    sampler: Sampler,
) -> Ids:
    """Write the tokens of the live rows at `position`: the known ones where there are, else samples."""
    response_position = position - rows.length_B[live] + rows.start_B[live]
    token_B: Ids = sampler.draw(logits_BV, live, response_position).cpu().numpy()
    if known.any():
        token_B = np.where(known, ids_BL[live, position], token_B)
    ids_BL[live, position] = token_B
    return token_B


def _closing_ranks(going: NDArray[np.bool_]) -> Ids:
    """The rows that go on, in an order that moves few: the last ones fill the places of those that ended."""
    order = np.arange(going.sum())
    order[~going[: len(order)]] = len(order) + going[len(order) :].nonzero()[0]
    return order


class _Decoder:
    """The model's weights folded for one token a row, and the cache of keys and values."""

    def __init__(self, model: FastModel, known_BL: Ids, width: int) -> None:
        """Fill the cache with the tokens that all rows know, each distinct beginning computed once.

        Args:
            model: the model, whose weights must not change while this lives.
            known_BL: the first tokens of all rows; may be of width 0.
            width: most positions that will be used.
        """
        shape = model.shape
        self._model, self._shape = model, shape
        self._layers = [_Layer(block) for block in model.layers]
        self._head_dV = (model.head_weight() * math.sqrt(shape.width)).t().contiguous()
        self._floor_11 = torch.full((1, 1), shape.width * shape.norm_eps, device=self._head_dV.device)
        self._turn_Lhs = model.turns(width)
        self._shortest = -(-_LOOP_BELOW * shape.key_value_heads // (shape.heads * shape.head_size))
        size = 2, len(known_BL), shape.key_value_heads, max(width, self._shortest), shape.head_size
        self._cache = [torch.empty(size, device=self._head_dV.device) for _ in model.layers]
        self._prefill(known_BL)

    def step(self, token_B: Ids, position: int) -> Tensor:
        """Logits after the rows' tokens at `position`; [B, V]."""
        x_Bd = functional.embedding(torch.from_numpy(token_B).to(self._head_dV.device), self._model.embedding)
        for layer, cache_2BkLs in zip(self._layers, self._cache, strict=True):
            y_Bd = torch.addmm(layer.qkv_bias, self._normalise(x_Bd), layer.qkv_dd)
            y_Bd = rotate(y_Bd, self._turn_Lhs[position])
            x_Bd = torch.addmm(x_Bd, self._attend(y_Bd, cache_2BkLs, position), layer.out_dd)
            gate_Bf, up_Bf = (self._normalise(x_Bd) @ layer.gate_up_df).chunk(2, -1)
            x_Bd = torch.addmm(x_Bd, functional.silu(gate_Bf).mul_(up_Bf), layer.down_fd)
        return self._normalise(x_Bd) @ self._head_dV

    def keep(self, order: Ids, positions: int) -> None:
        """Go on with these rows; the first `positions` of the cache are filled."""
        moved = (order != np.arange(len(order))).nonzero()[0]
        target, source = (torch.from_numpy(rows).to(self._head_dV.device) for rows in (moved, order[moved]))
        for layer, cache_2BkLs in enumerate(self._cache):
            filled = cache_2BkLs[..., :positions, :]
            filled[:, target] = filled[:, source]
            self._cache[layer] = cache_2BkLs[:, : len(order)]

    def _normalise(self, x_Bd: Tensor) -> Tensor:
        """RMSNorm without its gain and its factor sqrt(d), which the weights that follow carry."""
        length_B1: Tensor = torch.linalg.vector_norm(x_Bd, dim=-1, keepdim=True)
        return x_Bd * length_B1.square_().add_(self._floor_11).rsqrt_()

    def _attend(self, y_Bd: Tensor, cache_2BkLs: Tensor, position: int) -> Tensor:
        shape, rows = self._shape, len(y_Bd)
        heads_out = shape.heads * shape.head_size
        kv_B2ks = y_Bd[:, heads_out:].view(rows, 2, -1, shape.head_size)
        cache_2BkLs[..., position, :] = kv_B2ks.transpose(0, 1)
        filled = position + 1
        k_NLs, v_NLs = cache_2BkLs.flatten(1, 2)[:, :, : max(filled, self._shortest)]
        q_Ngs = y_Bd[:, :heads_out].reshape(len(k_NLs), -1, shape.head_size)
        score_NgL = torch.bmm(q_Ngs, k_NLs.transpose(1, 2))
        if filled < self._shortest:
            score_NgL[..., filled:] = -torch.inf
        return torch.bmm(torch.softmax(score_NgL, -1), v_NLs).view(rows, -1)

    def _prefill(self, known_BL: Ids) -> None:
        model, device, filled = self._model, self._head_dV.device, known_BL.shape[1]
        for cache_2BkLs in self._cache:
            # A short context reads positions that are not filled yet: their weight is 0, but 0 * nan is not.
            cache_2BkLs[:, :, :, filled : self._shortest] = 0
        if filled == 0:
            return
        distinct_UL, row_of_B = np.unique(known_BL, axis=0, return_inverse=True)
        index = torch.from_numpy(row_of_B).to(device)
        x_nd = functional.embedding(torch.from_numpy(distinct_UL).flatten().to(device), model.embedding)
        turn_nhs = self._turn_Lhs[:filled].repeat(len(distinct_UL), 1, 1)
        for block, cache_2BkLs in zip(model.layers, self._cache, strict=True):
            y_nd = block.project(x_nd, turn_nhs)
            q, k, v = block.split_heads(y_nd.view(len(distinct_UL), filled, -1))
            cache_2BkLs[0, :, :, :filled] = k[index]
            cache_2BkLs[1, :, :, :filled] = v[index]
            if block is not model.layers[-1]:
                x_nd = block.feed(x_nd, attention(q, k, v))


class _Layer:
    """One block's weights, transposed, with the factors that need not be computed at every step.

    These are the norms' gains, the norms' sqrt(d), and the queries' 1 / sqrt(s).
    """

    def __init__(self, block: Block) -> None:
        shape = block.shape
        root = math.sqrt(shape.width)
        scale = torch.ones(len(block.qkv), 1, device=block.qkv.device)
        scale[: shape.heads * shape.head_size] = shape.head_size**-0.5
        bias = torch.zeros_like(scale[:, 0]) if block.qkv_bias is None else block.qkv_bias
        self.qkv_dd = (block.qkv * block.attention_norm * (scale * root)).t().contiguous()
        self.qkv_bias = bias * scale[:, 0]
        self.out_dd = block.out.t().contiguous()
        self.gate_up_df = (block.gate_up * block.feed_norm * root).t().contiguous()
        self.down_fd = block.down.t().contiguous()
