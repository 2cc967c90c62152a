"""Entropy-based clipping: golden masks, ties and shares by hand, and what it must not depend on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, tensor

from prefix_rft import keyed
from prefix_rft.clipping import Select, keep_mask, kept_BT, needs_entropy
from prefix_rft.rollout import RolloutBatch
from prefix_rft.settings.method import Clipping

GOLDEN = Path(__file__).parents[1] / "fixtures/golden/entropy_mask.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())
SELECTS: list[Select] = ["highest", "lowest", "random"]


def _kept_of_imitated(
    batch: RolloutBatch, entropy_BT: Tensor | None, clipping: Clipping, rng: np.random.Generator
) -> Tensor:
    return kept_BT(batch, batch.imitated_BT(), entropy_BT, clipping, rng)


def _rng() -> np.random.Generator:
    return keyed.generator("test")


def _batch(response: list[int], prefix: list[int], question: list[int] | None = None) -> RolloutBatch:
    rows = len(response)
    return RolloutBatch(
        question_B=tensor(question or [0] * rows),
        rollout_B=torch.arange(rows),
        prefix_id_B=torch.where(tensor(prefix) > 0, 0, -1),
        prefix_length_B=tensor(prefix),
        response_length_B=tensor(response),
        reward_B=torch.zeros(rows),
    )


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_reference_keeps_the_same_tokens(case: dict[str, Any]) -> None:
    batch = _batch(case["response_length"], case["prefix_length"])
    entropy_BT = tensor(case["entropy"])[:, : batch.width]
    found = _kept_of_imitated(batch, entropy_BT, Clipping(keep=case["keep_ratio"]), _rng())
    expected = tensor(case["expected_kept"]).bool()[:, : batch.width]
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("keep", "select", "expected"),
    [
        (0.5, "highest", [False, True, False, True]),
        (0.5, "lowest", [True, False, True, False]),
        (0.25, "highest", [False, False, False, True]),  # of the two highest the later one
        (0.75, "lowest", [True, False, True, True]),  # of the two highest the earlier one goes
        (1.0, "highest", [True] * 4),
        (0.0, "lowest", [False] * 4),
    ],
)
def test_ties_fall_to_the_later_token(keep: float, select: Select, expected: list[bool]) -> None:
    assert keep_mask(tensor([0.1, 0.9, 0.5, 0.9]), keep, select, _rng()).tolist() == expected


def test_the_dropped_share_is_rounded_before_it_is_cut_to_a_whole_number() -> None:
    assert int(5 * (1 - 0.8)) == 0
    assert keep_mask(torch.arange(5.0), 0.8, "highest", _rng()).tolist() == [False, True, True, True, True]


@given(st.integers(0, 60), st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]), st.sampled_from(SELECTS))
def test_the_count_is_the_same_however_it_is_selected(count: int, keep: float, select: Select) -> None:
    kept = keep_mask(torch.arange(float(count)), keep, select, _rng())
    assert int(kept.sum()) == count - int(count * round(1 - keep, 9))


def test_a_random_share_belongs_to_its_key() -> None:
    entropy_n = torch.zeros(1000)
    first = keep_mask(entropy_n, 0.2, "random", keyed.generator("clipping", 0, 1, 0))
    assert torch.equal(first, keep_mask(entropy_n, 0.2, "random", keyed.generator("clipping", 0, 1, 0)))
    assert not torch.equal(first, keep_mask(entropy_n, 0.2, "random", keyed.generator("clipping", 0, 1, 1)))


rows = st.lists(
    st.integers(1, 8).flatmap(lambda t: st.tuples(st.just(t), st.integers(0, t - 1))), min_size=1, max_size=8
)


def _entropies(batch: RolloutBatch, distinct: int) -> Tensor:
    """Few distinct values make ties."""
    values = np.random.default_rng(0).integers(0, distinct, (len(batch), batch.width))
    return torch.from_numpy(values).float()


@given(rows, st.floats(0, 1), st.sampled_from(SELECTS))
def test_explored_tokens_are_never_chosen_nor_weighed(
    drawn: list[tuple[int, int]], keep: float, select: Select
) -> None:
    batch = _batch([t for t, _ in drawn], [p for _, p in drawn])
    entropy_BT = _entropies(batch, 1000)
    kept = _kept_of_imitated(batch, entropy_BT, Clipping(keep=keep, select=select), _rng())
    assert not (kept & ~batch.imitated_BT()).any()
    changed_BT = torch.where(batch.imitated_BT(), entropy_BT, 1e6)
    assert torch.equal(kept, _kept_of_imitated(batch, changed_BT, Clipping(keep=keep, select=select), _rng()))


@given(rows, st.floats(0, 1), st.sampled_from(SELECTS), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter_even_with_ties(
    drawn: list[tuple[int, int]], keep: float, select: Select, random: Any
) -> None:
    batch = _batch([t for t, _ in drawn], [p for _, p in drawn], question=[i // 2 for i in range(len(drawn))])
    entropy_BT = _entropies(batch, 2)
    order = list(range(len(drawn)))
    random.shuffle(order)
    clipping = Clipping(keep=keep, select=select)
    kept = _kept_of_imitated(batch, entropy_BT, clipping, _rng())
    shuffled = _kept_of_imitated(batch.rows(tensor(order)), entropy_BT[order], clipping, _rng())
    assert torch.equal(shuffled, kept[order])


def test_the_share_is_taken_over_the_mini_batch_and_not_in_each_row() -> None:
    batch = _batch([5, 5], [4, 4])
    entropy_BT = tensor([[0.1, 0.2, 0.3, 0.4, 9.0], [1.1, 1.2, 1.3, 1.4, 0.0]])
    kept = _kept_of_imitated(batch, entropy_BT, Clipping(keep=0.5), _rng())
    assert kept.int().tolist() == [[0, 0, 0, 0, 0], [1, 1, 1, 1, 0]]


@pytest.mark.parametrize(
    ("keep", "select", "needed"),
    [
        (0.2, "highest", True),
        (0.2, "lowest", True),
        (0.2, "random", False),
        (1.0, "highest", False),
        (0.0, "lowest", False),
    ],
)
def test_entropies_are_asked_for_where_the_choice_looks_at_them(
    keep: float, select: Select, needed: bool
) -> None:
    clipping = Clipping(keep=keep, select=select)
    assert needs_entropy(clipping) == needed
    batch = _batch([4, 4], [3, 0])
    if needed:
        with pytest.raises(ValueError, match="needs the policy's entropies"):
            _kept_of_imitated(batch, None, clipping, _rng())
    else:
        assert int(_kept_of_imitated(batch, None, clipping, _rng()).sum()) == 3 - int(3 * (1 - keep))
