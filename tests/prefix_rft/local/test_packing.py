"""Packed rows, by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.local.packing import Packed, pack
from prefix_rft.local.responses import ResponsePositions

Rows = list[tuple[list[int], list[int]]]


def packed(rows: Rows) -> Packed:
    """Packed rows of prompt and response, padded with a real token."""
    whole = [torch.tensor(prompt + response) for prompt, response in rows]
    lengths = torch.tensor([[len(prompt), len(response)] for prompt, response in rows])
    ids_BL = torch.nn.utils.rnn.pad_sequence(whole, batch_first=True, padding_value=1)
    return pack(ids_BL, lengths[:, 0], lengths[:, 1])


def histories(found: Packed) -> list[list[int]]:
    """Tokens up to each distinct token, read from what it attends to."""
    histories: dict[int, list[int]] = {}
    for window in found.windows:
        for query_Q, key_K, mask_QK in zip(window.query_RQ, window.key_RK, window.mask_RQK, strict=True):
            for query, mask_K in zip(query_Q.tolist(), mask_QK, strict=True):
                if query >= 0:
                    assert query not in histories
                    keys = key_K[mask_K == 0]
                    order = found.position_n[keys].argsort()
                    assert found.position_n[keys][order].tolist() == list(range(len(keys)))
                    histories[query] = found.token_n[keys][order].tolist()
    return [histories[token] for token in range(len(found.token_n))]


def test_a_shared_beginning_is_taken_once_and_padding_and_last_tokens_never() -> None:
    found = packed([([5, 6], [7]), ([5, 6], [8, 9]), ([5, 7], [7])])
    assert sorted(histories(found)) == [[5], [5, 6], [5, 6, 8], [5, 7]]


def test_responses_share_until_they_part() -> None:
    found = packed([([5], [2, 3, 4]), ([5], [2, 3, 9, 9]), ([5], [2, 3, 4])])
    assert sorted(histories(found)) == [[5], [5, 2], [5, 2, 3], [5, 2, 3, 9]]
    assert len(found.target_e) == 5
    assert found.response_r[:3].tolist() == found.response_r[-3:].tolist()


def test_a_row_that_ends_where_another_goes_on() -> None:
    found = packed([([5, 6], [7]), ([5, 6], [7, 8]), ([5, 6], [7, 8, 9])])
    assert sorted(histories(found)) == [[5], [5, 6], [5, 6, 7], [5, 6, 7, 8]]


def test_a_token_may_be_prompt_in_one_row_and_response_in_another() -> None:
    found = packed([([5, 6], [7]), ([5], [6, 7])])
    assert sorted(histories(found)) == [[5], [5, 6]]
    assert found.target_e[found.response_r].tolist() == [7, 6, 7]


def test_tokens_whose_bytes_would_sort_after_the_end_of_a_row() -> None:
    """255 and 2**56 - 1 begin with the byte of which the mark of a row's end consists."""
    found = packed([([255], [255]), ([255], [255, 2**56 - 1]), ([255], [255, 2**56 - 1, 3])])
    assert sorted(histories(found)) == [[255], [255, 255], [255, 255, 2**56 - 1]]


short = st.lists(st.integers(0, 2), min_size=1, max_size=4)


@pytest.mark.parametrize("piece", [1, 2, 64])
@given(st.lists(st.tuples(short, short), min_size=1, max_size=9))
def test_every_response_token_is_predicted_from_what_comes_before_it(piece: int, rows: Rows) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prefix_rft.local.windows._PIECE", piece)
        patch.setattr("prefix_rft.local.windows._PRODUCTS", 60)
        found = packed(rows)
    known = histories(found)
    wanted = [
        (prompt + response)[:end]
        for prompt, response in rows
        for end in range(len(prompt), len(prompt + response))
    ]
    assert [known[found.source_e[edge]] for edge in found.response_r] == wanted
    targets = [token for _, response in rows for token in response]
    assert found.target_e[found.response_r].tolist() == targets
    distinct = {
        tuple((prompt + response)[:end])
        for prompt, response in rows
        for end in range(1, len(prompt + response))
    }
    assert sorted(known) == sorted(map(list, distinct))


def test_response_tokens_are_predicted_one_place_before_them() -> None:
    at = ResponsePositions.of(torch.tensor([2, 1]), torch.tensor([1, 3]), input_width=4)
    assert at.source_n.tolist() == [1, 4, 5, 6]
    assert at.spread(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [[1, 0, 0], [2, 3, 4]]
