"""What a mini-batch's token losses must be divided by, counted from lengths, and what a gradient was divided by.

Axes: B rows, T response tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prefix_rft.audit.backends import Gradient
from prefix_rft.audit.cases import Case
from prefix_rft.audit.plain import Sums
from prefix_rft.audit.report import worst
from prefix_rft.settings import Aggregation


@dataclass(frozen=True)
class Divisors:
    """Of a mini-batch's explored and imitated tokens."""

    explored: float
    imitated: float


def by_hand(case: Case, aggregation: Aggregation) -> Divisors:
    """The divisors that docs/method.md states, from the lengths of all rows of the case.

    A method whose imitated tokens have a mean of their own leaves them out of the explored tokens' divisor.
    """
    lengths, imitated = _lengths(case), case.responses.batch.prefix_length_B.tolist()
    apart = case.method.imitation.scale == "token_mean"
    rows = [length - prefix for length, prefix in zip(lengths, imitated, strict=True)] if apart else lengths
    rows = [tokens for tokens in rows if tokens > 0]
    explored = {
        "constant": case.max_response * len(rows),
        "token_mean": sum(rows),
        "seq_mean_token_sum": len(rows),
        "seq_mean_token_mean": len(rows),
    }[aggregation]
    return Divisors(explored, sum(imitated) if apart else explored)


def row_shares(case: Case, aggregation: Aggregation) -> Tensor:
    """[B, T]: what token losses are multiplied by before they are summed; only a mean over a row's tokens is not 1."""
    batch = case.responses.batch
    share_BT = torch.ones(len(batch), batch.width)
    if aggregation != "seq_mean_token_mean":
        return share_BT
    apart = case.method.imitation.scale == "token_mean"
    for b, (length, prefix) in enumerate(zip(_lengths(case), batch.prefix_length_B.tolist(), strict=True)):
        first = prefix if apart else 0
        share_BT[b, first:length] = 1 / max(1, length - first)
    return share_BT


@dataclass(frozen=True)
class Fit:
    """A gradient as explored sum / divisor + imitated sum / divisor."""

    explored: float | None
    """The divisor; None where the sum is zero."""
    imitated: float | None
    residual: float
    """What no divisors explain, relative to the gradient."""

    def deviation(self, wanted: Divisors) -> float:
        """Largest relative error of a divisor, or the residual where it is larger."""
        pairs = ((self.explored, wanted.explored), (self.imitated, wanted.imitated))
        errors = [abs(right / found - 1) for found, right in pairs if found is not None]
        return worst([*errors, self.residual])


def fit(gradient: Gradient, sums: Sums) -> Fit:
    """The divisors that explain a gradient best (least squares)."""
    found = _flat(gradient, sums.explored)
    columns = {
        "explored": _flat(sums.explored, sums.explored),
        "imitated": _flat(sums.imitated, sums.explored),
    }
    present = {name: column for name, column in columns.items() if bool(column.any())}
    if not present or not bool(found.any()):
        return Fit(None, None, float("nan"))
    matrix = torch.stack(list(present.values()), dim=1)
    # Columns of one length: else the smaller sum's divisor would be lost in rounding.
    length = matrix.norm(dim=0)
    factor = torch.linalg.lstsq(matrix / length, found[:, None]).solution[:, 0]
    residual = float((found - matrix / length @ factor).norm() / found.norm())
    divisors = dict(zip(present, (length / factor).tolist(), strict=True))
    return Fit(divisors.get("explored"), divisors.get("imitated"), residual)


def _flat(gradient: Gradient, names: Gradient) -> Tensor:
    """All entries in the order of `names`, in float64; zeros where a parameter has no gradient."""
    parts = [gradient.get(name, torch.zeros_like(like)).flatten() for name, like in names.items()]
    return torch.cat(parts).double()


def _lengths(case: Case) -> list[int]:
    found: list[int] = case.responses.batch.response_length_B.tolist()
    return found
