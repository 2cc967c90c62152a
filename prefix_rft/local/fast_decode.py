"""Decoding with the fast model: all rows stand at one position, and tokens known already are forced.

Prompts and prefixes of different lengths then need neither left padding nor a mask, and a prefix is never
written again: decoding begins at the end of the shortest row, and what longer rows know is read, not sampled.

Rows with the same tokens so far are one branch, and cost what one row costs until they part.

Axes: B rows, N places (one branch each), M = N k, L positions, h heads, k heads of keys and values, g = h / k, s head
size, d width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from prefix_rft.local.branches import Branches
from prefix_rft.local.fast_model import Block, FastModel, attention, rotate
from prefix_rft.local.generation import Rows
from prefix_rft.local.sampling import Sampler

Ids = NDArray[np.int64]

_LOOP_BELOW = 400
"""With fewer multiplications a matrix, PyTorch's batched product takes a plain loop, several times slower."""


@torch.inference_mode()
def decode(model: FastModel, rows: Rows, sampler: Sampler) -> tuple[list[list[int]], int]:
    """New tokens of each row, and the number of decode steps."""
    ids_BL = rows.table()
    first = position = int(rows.length_B.min()) - 1
    branches = Branches(ids_BL[:, : first + 1])
    decoder = _Decoder(model, branches.known_CL, *ids_BL.shape)
    end_B = rows.limit_B.copy()
    while len(branches.row_B):
        logits_NV = decoder.step(branches.token_N, position)
        position += 1
        row_B = branches.row_B
        sampled_B = rows.length_B[row_B] <= position
        token_B = _fill(logits_NV, ids_BL, rows, branches, position, sampled_B, sampler)
        stopped_B = sampled_B & rows.stops_B(token_B)
        end_B[row_B[stopped_B]] = position + 1
        going_B = ~stopped_B & (rows.limit_B[row_B] > position + 1)
        decoder.move(*branches.advance(going_B, token_B), position)
    tokens = [ids_BL[row, rows.length_B[row] : end].tolist() for row, end in enumerate(end_B)]
    return tokens, position - first


def _fill(
    logits_NV: Tensor,
    ids_BL: Ids,
    rows: Rows,
    branches: Branches,
    position: int,
    sampled_B: NDArray[np.bool_],
    sampler: Sampler,
) -> Ids:
    """Write the tokens of the live rows at `position`: the known ones where there are, else samples."""
    row_B = branches.row_B
    response_position_B = position - rows.length_B[row_B] + rows.start_B[row_B]
    token_B: Ids = sampler.draw(logits_NV, row_B, response_position_B, branches.place_B).cpu().numpy()
    if not sampled_B.all():
        token_B = np.where(sampled_B, token_B, ids_BL[row_B, position])
    ids_BL[row_B, position] = token_B
    return token_B


class _Decoder:
    """The model's weights folded for one token a branch, and the cache of keys and values."""

    def __init__(self, model: FastModel, known_NL: Ids, most: int, width: int) -> None:
        """Fill the cache with the tokens that the branches begin with.

        Args:
            model: the model, whose weights must not change while this lives.
            known_NL: the first tokens of each branch; may be of width 0.
            most: branches there may be at once.
            width: most positions that will be used.
        """
        shape = model.shape
        self._model, self._shape = model, shape
        self._layers = [_Layer(block) for block in model.layers]
        self._head_dV = (model.head_weight() * math.sqrt(shape.width)).t().contiguous()
        self._floor_11 = torch.full((1, 1), shape.width * shape.norm_eps, device=self._head_dV.device)
        self._turn_Lhs = model.turns(width)
        self._shortest = -(-_LOOP_BELOW * shape.key_value_heads // (shape.heads * shape.head_size))
        size = len(model.layers), 2, most, shape.key_value_heads, max(width, self._shortest), shape.head_size
        whole = torch.empty(size, device=self._head_dV.device)
        self._cache = list(whole)
        """Keys and values of each layer, [2, N, k, L, s]."""
        self._histories = list(whole.flatten(0, 1))
        """Each layer's keys, and its values, [N, k, L, s]."""
        self._prefill(known_NL)

    def step(self, token_N: Ids, position: int) -> Tensor:
        """Logits after the branches' tokens at `position`; [N, V]."""
        x_Nd = functional.embedding(torch.from_numpy(token_N).to(self._head_dV.device), self._model.embedding)
        for layer, cache_2NkLs in zip(self._layers, self._cache, strict=True):
            y_Nd = torch.addmm(layer.qkv_bias, self._normalise(x_Nd), layer.qkv_dd)
            y_Nd = rotate(y_Nd, self._turn_Lhs[position])
            x_Nd = torch.addmm(x_Nd, self._attend(y_Nd, cache_2NkLs[:, : len(y_Nd)], position), layer.out_dd)
            gate_Nf, up_Nf = (self._normalise(x_Nd) @ layer.gate_up_df).chunk(2, -1)
            x_Nd = torch.addmm(x_Nd, functional.silu(gate_Nf).mul_(up_Nf), layer.down_fd)
        return self._normalise(x_Nd) @ self._head_dV

    def move(self, target: Ids, source: Ids, positions: int) -> None:
        """Give places the histories of others; the first `positions` of the cache are filled."""
        if len(target) == 0:
            return
        there, here = (torch.from_numpy(places).to(self._head_dV.device) for places in (target, source))
        # One by one: along a second dimension PyTorch copies ten times slower.
        for history_NkLs in self._histories:
            filled = history_NkLs[..., : max(positions, self._shortest), :]
            filled.index_copy_(0, there, filled.index_select(0, here))

    def _normalise(self, x_Nd: Tensor) -> Tensor:
        """RMSNorm without its gain and its factor sqrt(d), which the weights that follow carry."""
        length_N1: Tensor = torch.linalg.vector_norm(x_Nd, dim=-1, keepdim=True)
        return x_Nd * torch.addcmul(self._floor_11, length_N1, length_N1).rsqrt_()

    def _attend(self, y_Nd: Tensor, cache_2NkLs: Tensor, position: int) -> Tensor:
        shape, rows = self._shape, len(y_Nd)
        heads_out = shape.heads * shape.head_size
        kv_N2ks = y_Nd[:, heads_out:].view(rows, 2, -1, shape.head_size)
        cache_2NkLs[..., position, :] = kv_N2ks.transpose(0, 1)
        filled = position + 1
        k_MLs, v_MLs = cache_2NkLs.flatten(1, 2)[:, :, : max(filled, self._shortest)]
        q_Mgs = y_Nd[:, :heads_out].reshape(len(k_MLs), -1, shape.head_size)
        score_MgL = torch.bmm(q_Mgs, k_MLs.transpose(1, 2))
        if filled < self._shortest:
            score_MgL[..., filled:] = -torch.inf
        return torch.bmm(torch.softmax(score_MgL, -1), v_MLs).view(rows, -1)

    def _prefill(self, known_NL: Ids) -> None:
        model, (places, filled) = self._model, known_NL.shape
        for cache_2NkLs in self._cache:
            # A short context reads positions that are not filled yet: their weight is 0, but 0 * nan is not.
            cache_2NkLs[:, :places, :, filled : self._shortest] = 0
        if filled == 0:
            return
        x_nd = functional.embedding(
            torch.from_numpy(known_NL).flatten().to(self._head_dV.device), model.embedding
        )
        turn_nhs = self._turn_Lhs[:filled].repeat(places, 1, 1)
        for block, cache_2NkLs in zip(model.layers, self._cache, strict=True):
            y_nd = block.project(x_nd, turn_nhs)
            q, k, v = block.split_heads(y_nd.view(places, filled, -1))
            cache_2NkLs[0, :places, :, :filled] = k
            cache_2NkLs[1, :places, :, :filled] = v
            if block is not model.layers[-1]:
                x_nd = block.feed(x_nd, attention(q, k, v))


class _Layer:
    """One block's weights, transposed, with the factors that need not be computed at every step.

    These are the norms' gains, and the norms' sqrt(d).
    """

    def __init__(self, block: Block) -> None:
        shape = block.shape
        root = math.sqrt(shape.width)
        self.qkv_dd = (block.qkv * block.attention_norm * root).t().contiguous()
        self.qkv_bias = torch.zeros_like(block.qkv[:, 0]) if block.qkv_bias is None else block.qkv_bias
        self.out_dd = block.out.t().contiguous()
        self.gate_up_df = (block.gate_up * block.feed_norm * root).t().contiguous()
        self.down_fd = block.down.t().contiguous()
