"""Trainers that are broken on purpose, each the way a published one was; the audit must catch them.

A fault multiplies the gradient of each micro-batch by a factor that a right trainer does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from prefix_rft.settings.optimisation import Aggregation

if TYPE_CHECKING:
    from torch import Tensor

    from prefix_rft.audit.cases import Case
    from prefix_rft.local.scoring import Split

Plan = Sequence[Sequence[int]]
"""The micro-batches of one mini-batch in their order: response tokens of each of their rows."""


class Fault(Protocol):
    """What a broken trainer does to the gradients that it accumulates."""

    def __call__(self, plan: Plan, aggregation: Aggregation, /) -> list[float]:
        """The factor of each micro-batch; 1 for all of them where the mini-batch is not split."""


def last_only(plan: Plan, aggregation: Aggregation, /) -> list[float]:
    """Every gradient but the last is lost (DeepSpeed, pull request 7981)."""
    return [0.0] * (len(plan) - 1) + [1.0]


def first_and_last(plan: Plan, aggregation: Aggregation, /) -> list[float]:
    """The gradients between the first and the last are lost (DeepSpeed; arXiv 2604.23747)."""
    return [1.0 if index in (0, len(plan) - 1) else 0.0 for index in range(len(plan))]


def mean_of_means(plan: Plan, aggregation: Aggregation, /) -> list[float]:
    """Each micro-batch divides by its own tokens (or rows), then their mean is taken (OpenRLHF; arXiv 2604.23747)."""
    sizes = [sum(lengths) if aggregation == "token_mean" else len(lengths) for lengths in plan]
    return [sum(sizes) / (len(sizes) * size) for size in sizes]


def by_sequences(plan: Plan, aggregation: Aggregation, /) -> list[float]:
    """A micro-batch's sum is weighted by its share of the sequences (dynamic batching in Prefix-RFT's reference)."""
    rows = [len(lengths) for lengths in plan]
    return [count / sum(rows) for count in rows]


FAULTS: dict[str, Fault] = {
    "last only": last_only,
    "first and last": first_and_last,
    "mean of means": mean_of_means,
    "by sequences": by_sequences,
}


def factors_of(case: Case, split: Split, fault: Fault) -> list[float]:
    """The fault's factors for the micro-batches of a case of one mini-batch."""
    length_B = case.responses.batch.response_length_B
    parts = split(case.responses.prompt_length_B + length_B)
    return fault([length_B[part].tolist() for part in parts], case.phase.aggregation)


def scaled(values: Tensor, factor: float) -> Tensor:
    """The same values, whose gradient is multiplied."""
    return values.detach() + factor * (values - values.detach())
