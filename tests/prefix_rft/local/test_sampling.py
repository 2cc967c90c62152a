"""Sampling: the inverse CDF by hand, the nucleus by hand, and frequencies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.errors import TrainingError
from prefix_rft.local.sampling import Sampler, inverse_cdf, probabilities


def draw(sampler: Sampler, logits: list[float], rows: int = 1, position: int = 0) -> list[int]:
    logits_BV = torch.tensor([logits] * rows)
    return sampler.draw(logits_BV, np.arange(rows), np.full(rows, position)).tolist()


@pytest.mark.parametrize(
    ("uniform", "token"), [(0.0, 0), (0.49, 0), (0.5, 2), (0.74, 2), (0.76, 3), (1.0, 3)]
)
def test_the_cdf_is_inverted_and_a_token_of_share_zero_is_never_taken(uniform: float, token: int) -> None:
    share_BV = torch.tensor([[0.5, 0.0, 0.25, 0.25, 0.0]], dtype=torch.float64)
    assert inverse_cdf(share_BV, torch.tensor([uniform], dtype=torch.float64)).tolist() == [token]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(any), st.floats(0, 1))
def test_any_share_is_inverted_to_a_token_that_has_some(share: list[float], uniform: float) -> None:
    share_BV = torch.tensor([share], dtype=torch.float64)
    token = int(inverse_cdf(share_BV, torch.tensor([uniform], dtype=torch.float64))[0])
    assert share[token] > 0


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    logits_BV = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log()
    assert probabilities(logits_BV, top_p=0.6)[0].tolist() == pytest.approx([0, 0.4, 0, 0.3])
    assert probabilities(logits_BV, top_p=0.75)[0].tolist() == pytest.approx([0, 0.4, 0.2, 0.3])
    assert probabilities(logits_BV, top_p=0.01)[0].tolist() == pytest.approx([0, 0.4, 0, 0])
    assert probabilities(logits_BV, top_p=1)[0].tolist() == pytest.approx([0.1, 0.4, 0.2, 0.3])


def test_equal_tokens_enter_the_nucleus_in_the_order_of_the_vocabulary() -> None:
    assert (probabilities(torch.zeros(1, 4), top_p=0.5)[0] > 0).tolist() == [True, True, False, False]


def test_temperature_divides_the_logits() -> None:
    share = probabilities(torch.tensor([[0.0, 1.0]]), temperature=0.5)[0]
    assert share.tolist() == pytest.approx([1 / (1 + np.e**2), np.e**2 / (1 + np.e**2)])


def test_temperature_zero_takes_the_most_likely_token() -> None:
    sampler = Sampler(np.zeros(3, np.uint64), 1, temperature=0)
    assert draw(sampler, [0.0, 3.0, 1.0], rows=3) == [1, 1, 1]


def test_a_draw_depends_on_key_and_position_only() -> None:
    logits = [0.3, -0.2, 0.8, 0.1, 0.5]
    keys = np.arange(50, dtype=np.uint64)
    together = [draw(Sampler(keys, 9), logits, rows=50, position=p) for p in range(9)]
    for row in (0, 17, 49):
        alone = Sampler(keys[row : row + 1], 30)
        assert [draw(alone, logits, position=p)[0] for p in range(9)] == [tokens[row] for tokens in together]
    assert len({tuple(tokens) for tokens in together}) == 9


def test_frequencies_follow_the_probabilities() -> None:
    share = np.array([0.1, 0.2, 0.3, 0.4])
    rows = 40_000
    tokens = draw(Sampler(np.arange(rows, dtype=np.uint64), 1), np.log(share).tolist(), rows)
    # Four standard errors of the least certain of the four frequencies.
    assert np.abs(np.bincount(tokens) / rows - share).max() < 4 * np.sqrt(0.25 / rows)


@pytest.mark.parametrize(("setting", "value"), [("temperature", -0.1), ("top_p", 0.0), ("top_p", 1.1)])
def test_settings_out_of_range_are_named(setting: str, value: float) -> None:
    with pytest.raises(TrainingError, match=f"{setting}={value}"):
        Sampler(np.zeros(1, np.uint64), 1, **{setting: value})
