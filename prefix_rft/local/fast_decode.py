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
from prefix_rft.local.fast_model import Block, FastModel, attention
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
        self._head_dV = (model.head_weight() * math.sqrt(shape.width)).t().contiguous()
        self._device = self._head_dV.device
        self._floor_11 = torch.full((1, 1), math.sqrt(shape.width * shape.norm_eps), device=self._device)
        self._shortest = -(-_LOOP_BELOW * shape.key_value_heads // (shape.heads * shape.head_size))
        size = 2, most, shape.key_value_heads, max(width, self._shortest), shape.head_size
        self._layers = [_Layer(block, torch.empty(size, device=self._device)) for block in model.layers]
        self._turn_Lhc = model.turns(width)
        query_Lc = self._turn_Lhc[:, : shape.heads].flatten(1)
        other_L2kc = self._turn_Lhc[:, shape.heads :].reshape(width, 2, shape.key_value_heads, -1)
        self._turns = list(zip(query_Lc, other_L2kc, strict=True))
        """At each position the factors of queries, [h s / 2], and of keys and values, [2, k, s / 2]."""
        self._prefill(known_NL)

    def step(self, token_N: Ids, position: int) -> Tensor:
        """Logits after the branches' tokens at `position`; [N, V]."""
        x_Nd = functional.embedding(self._tensor(token_N), self._model.embedding)
        for layer in self._layers:
            y_Nd = torch.addmm(layer.qkv_bias, self._normalise(x_Nd), layer.qkv_dd)
            x_Nd = torch.addmm(x_Nd, self._attend(layer, y_Nd, position), layer.out_dd)
            gate_Nf, up_Nf = (self._normalise(x_Nd) @ layer.gate_up_df).chunk(2, -1)
            x_Nd = torch.addmm(x_Nd, functional.silu(gate_Nf).mul_(up_Nf), layer.down_fd)
        return self._normalise(x_Nd) @ self._head_dV

    def move(self, target: Ids, source: Ids, positions: int) -> None:
        """Give places the histories of others; the first `positions` of the cache are filled."""
        if len(target) == 0:
            return
        there, here = self._tensor(target), self._tensor(source)
        # One by one: along a second dimension PyTorch copies ten times slower.
        for layer in self._layers:
            for history_NkLs in layer.cache_2NkLs:
                filled = history_NkLs[..., : max(positions, self._shortest), :]
                filled.index_copy_(0, there, filled.index_select(0, here))

    def _tensor(self, array: Ids) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor if self._device.type == "cpu" else tensor.to(self._device)

    def _normalise(self, x_Nd: Tensor) -> Tensor:
        """RMSNorm without its gain and its factor sqrt(d), which the weights that follow carry."""
        length_N1: Tensor = torch.linalg.vector_norm(x_Nd, dim=-1, keepdim=True)
        return x_Nd / length_N1.hypot_(self._floor_11)

    def _attend(self, layer: _Layer, y_Nd: Tensor, position: int) -> Tensor:
        """What the heads say, [N, h s]; the new keys and values go into the cache."""
        query_Mgs, places = self._turn(layer, y_Nd, position), len(y_Nd)
        filled = position + 1
        key_MLs, value_MLs = layer.read(places, max(filled, self._shortest))
        score_MgL = torch.bmm(query_Mgs, key_MLs.transpose(1, 2))
        if filled < self._shortest:
            score_MgL[..., filled:] = -torch.inf
        return torch.bmm(torch.softmax(score_MgL, -1), value_MLs).view(places, -1)

    def _turn(self, layer: _Layer, y_Nd: Tensor, position: int) -> Tensor:
        """Rotated queries [M, g, s]; rotated keys, and values, are written into the cache right away."""
        query_c, other_2kc = self._turns[position]
        pairs_Nc = y_Nd.view(torch.complex64)
        places, width = pairs_Nc.shape
        other_N2kc = pairs_Nc.as_strided(
            (places, *other_2kc.shape), (width, *other_2kc.stride()), len(query_c)
        )
        torch.mul(other_N2kc, other_2kc, out=layer.slots[position][:places])
        turned_Nd: Tensor = (pairs_Nc[:, : len(query_c)] * query_c).view(torch.float32)
        return turned_Nd.view(places * self._shape.key_value_heads, -1, self._shape.head_size)

    def _prefill(self, known_NL: Ids) -> None:
        model, (places, filled) = self._model, known_NL.shape
        for layer in self._layers:
            # A short context reads positions that are not filled yet: their weight is 0, but 0 * nan is not.
            layer.cache_2NkLs[:, :places, :, filled : self._shortest] = 0
        if filled == 0:
            return
        x_nd = functional.embedding(self._tensor(known_NL.flatten()), model.embedding)
        turn_nhc = self._turn_Lhc[:filled].repeat(places, 1, 1)
        for block, layer in zip(model.layers, self._layers, strict=True):
            y_nd = block.project(x_nd, turn_nhc)
            q, k, v = block.split_heads(y_nd.view(places, filled, -1))
            layer.cache_2NkLs[0, :places, :, :filled] = k
            layer.cache_2NkLs[1, :places, :, :filled] = v
            if block is not model.layers[-1]:
                x_nd = block.feed(x_nd, attention(q, k, v))


class _Layer:
    """One block's cache and weights, these transposed, with the factors that need not be computed at every step.

    The factors are the norms' gains, and the norms' sqrt(d).
    """

    def __init__(self, block: Block, cache_2NkLs: Tensor) -> None:
        shape = block.shape
        self.cache_2NkLs = cache_2NkLs
        """Keys and values."""
        self.slots = list(cache_2NkLs.view(torch.complex64).permute(3, 1, 0, 2, 4))
        """Where those of each position are in it, [N, 2, k, s / 2]."""
        root = math.sqrt(shape.width)
        self.qkv_dd = (block.qkv * block.attention_norm * root).t().contiguous()
        self.qkv_bias = torch.zeros_like(block.qkv[:, 0]) if block.qkv_bias is None else block.qkv_bias
        self.out_dd = block.out.t().contiguous()
        self.gate_up_df = (block.gate_up * block.feed_norm * root).t().contiguous()
        self.down_fd = block.down.t().contiguous()

    def read(self, places: int, positions: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the first places and positions, [M, L, s]."""
        # By their strides, in one call each: making views is a good part of a small model's step.
        _, _, groups, _, size = self.cache_2NkLs.shape
        shape, stride = (places * groups, positions, size), self.cache_2NkLs.stride()[2:]
        offset = self.cache_2NkLs.stride(0)
        return self.cache_2NkLs.as_strided(shape, stride), self.cache_2NkLs.as_strided(shape, stride, offset)
