"""Attention over shared tokens against PyTorch's over whole rows, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from prefix_rft.local import shared_attention
from prefix_rft.local.convert import Shape
from prefix_rft.local.shared_attention import Attention
from prefix_rft.local.windows import windows

# Three rows over nine tokens: the second shares three tokens with the first, the third five with the second.
SLOT_UW = np.array([[0, 1, 2, 3, 4, 0], [0, 1, 2, 5, 6, 7], [0, 1, 2, 5, 6, 8]])
START_U, END_U = np.array([0, 3, 5]), np.array([5, 6, 6])


def shape(heads: int, key_value_heads: int) -> Shape:
    return Shape(
        vocabulary=5, width=4 * heads, inner=3, layers=1, heads=heads, key_value_heads=key_value_heads, head_size=4,
        max_positions=8, rope_theta=1e4, norm_eps=1e-6, tied=True, qkv_bias=False,
    )  # fmt: skip


def whole_rows(y_nd: torch.Tensor, of: Shape) -> torch.Tensor:
    """Each token's output, from the first row it stands in."""
    y_UWhs = y_nd[torch.from_numpy(SLOT_UW)].unflatten(2, (-1, of.head_size)).transpose(1, 2)
    query, key, value = y_UWhs.split([of.heads, of.key_value_heads, of.key_value_heads], 1)
    heads = functional.scaled_dot_product_attention(
        query, key, value, is_causal=True, enable_gqa=True, scale=1.0
    )
    places = [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (1, 5), (2, 5)]
    return torch.stack([heads[row, :, column].flatten() for row, column in places])


@pytest.mark.parametrize("kept", [True, False], ids=["weights kept", "weights computed again"])
@pytest.mark.parametrize("products", [1, 1 << 20], ids=["a window each", "windows of several"])
@pytest.mark.parametrize(("heads", "key_value_heads"), [(2, 2), (4, 2), (3, 1)])
def test_it_is_the_attention_of_whole_rows(
    heads: int, key_value_heads: int, products: int, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_attention, "_KEPT", 1 << 23 if kept else 0)
    monkeypatch.setattr("prefix_rft.local.windows._PRODUCTS", products)
    of = shape(heads, key_value_heads)
    torch.manual_seed(0)
    y_nd = torch.randn(9, (heads + 2 * key_value_heads) * 4, requires_grad=True)
    attend = Attention.of(windows(SLOT_UW, START_U, END_U), 9, of, torch.device("cpu"))
    assert attend.kept == kept
    ours, expected = attend(y_nd), whole_rows(y_nd, of)
    torch.testing.assert_close(ours, expected)
    weight = torch.randn_like(expected)
    theirs = torch.autograd.grad((expected * weight).sum(), y_nd)
    torch.testing.assert_close(torch.autograd.grad((ours * weight).sum(), y_nd), theirs)
