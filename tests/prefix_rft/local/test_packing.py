"""Packed rows, by hand."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.local.packing import pack
from prefix_rft.local.responses import ResponsePositions


def test_a_shared_prompt_is_taken_once_and_padding_never() -> None:
    ids_BL = torch.tensor([[5, 6, 7, 0], [5, 6, 8, 9], [5, 7, 7, 0]])
    packed = pack(ids_BL, torch.tensor([2, 2, 2]), torch.tensor([3, 4, 3]))
    assert packed.token_n.tolist() == [5, 6, 7, 8, 9, 5, 7, 7]
    assert packed.position_n.tolist() == [0, 1, 2, 2, 3, 0, 1, 2]
    assert packed.place_n.tolist() == [0, 1, 2, 6, 7, 8, 9, 10]
    assert packed.slot_BL[0, :3].tolist() == [0, 1, 2]
    assert packed.slot_BL[1].tolist() == [0, 1, 3, 4]
    assert packed.slot_BL[2, :3].tolist() == [5, 6, 7]


def test_equal_tokens_of_prompts_of_different_length_are_not_shared() -> None:
    packed = pack(torch.tensor([[5, 6, 7], [5, 6, 7]]), torch.tensor([2, 1]), torch.tensor([3, 3]))
    assert packed.token_n.tolist() == [5, 6, 7, 5, 6, 7]


def test_a_prompt_that_ends_before_the_inputs_do() -> None:
    """Rows whose response is one token: only the prompt goes in."""
    packed = pack(torch.tensor([[5, 6], [5, 6]]), torch.tensor([2, 2]), torch.tensor([2, 2]))
    assert packed.token_n.tolist() == [5, 6]
    assert packed.slot_BL.tolist() == [[0, 1], [0, 1]]


rows = st.lists(
    st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=3), st.lists(st.integers(0, 1), max_size=3)),
    min_size=1,
    max_size=6,
)


@given(rows)
def test_every_place_finds_its_own_token_at_its_own_position(
    prompts_and_rests: list[tuple[list[int], list[int]]],
) -> None:
    whole = [torch.tensor(prompt + rest) for prompt, rest in prompts_and_rests]
    ids_BL = torch.nn.utils.rnn.pad_sequence(whole, batch_first=True)
    prompt_B = torch.tensor([len(prompt) for prompt, _ in prompts_and_rests])
    packed = pack(ids_BL, prompt_B, torch.tensor([len(row) for row in whole]))
    for row, tokens in enumerate(whole):
        slots = packed.slot_BL[row, : len(tokens)]
        assert torch.equal(packed.token_n[slots], tokens)
        assert packed.position_n[slots].tolist() == list(range(len(tokens)))
    distinct_prompts = {tuple(prompt) for prompt, _ in prompts_and_rests}
    rest = sum(len(rest) for _, rest in prompts_and_rests)
    assert len(packed.token_n) == sum(map(len, distinct_prompts)) + rest


def test_response_tokens_are_predicted_one_place_before_them() -> None:
    at = ResponsePositions.of(torch.tensor([2, 1]), torch.tensor([1, 3]), input_width=4)
    assert at.source_n.tolist() == [1, 4, 5, 6]
    assert at.spread(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [[1, 0, 0], [2, 3, 4]]
