"""Relative deviations, on gradients of two numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from prefix_rft.audit.backends import Computed
from prefix_rft.audit.checks import deviation, splits_agree


def test_the_worst_parameter_counts_however_small() -> None:
    wanted = {"large": tensor([300.0, 400.0]), "small": tensor([0.3, 0.4])}
    found = {"large": tensor([300.0, 400.0]), "small": tensor([0.3, 0.45])}
    assert deviation(found, wanted) == pytest.approx(0.05 / 0.5)


def test_a_parameter_without_a_gradient_has_lost_all_of_it() -> None:
    assert deviation({"a": tensor([1.0])}, {"a": tensor([1.0]), "b": tensor([2.0])}) == 1
    assert deviation({"a": tensor([1.0]), "b": tensor([2.0])}, {"a": tensor([1.0])}) == math.inf


def test_nothing_can_be_told_from_no_gradient() -> None:
    assert deviation({"a": torch.zeros(2)}, {"a": torch.zeros(2)}) == math.inf


def test_a_gradient_that_is_not_a_number_is_not_lost() -> None:
    wanted = {"a": tensor([1.0]), "b": tensor([1.0]), "c": tensor([1.0])}
    assert math.isnan(deviation({**wanted, "b": tensor([math.nan])}, wanted))


def test_every_mini_batch_of_every_split_is_compared() -> None:
    right, wrong = {"a": tensor([4.0])}, {"a": tensor([5.0])}
    whole = Computed(0.0, [right, right])
    figure = splits_agree({"1": whole, "2": whole, "4": Computed(0.0, [right, wrong])})
    assert figure.deviation == 0.25
    assert figure.details == {"by": {"1": 0.0, "2": 0.0, "4": 0.25}}
    assert not figure.within
