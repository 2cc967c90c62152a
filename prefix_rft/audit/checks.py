"""The checks; each compares what a backend computed with what nothing but rounding may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import get_args

import torch
from torch import Tensor

from prefix_rft.audit.backends import AuditBackend, Computed, Gradient
from prefix_rft.audit.cases import Case
from prefix_rft.audit.faults import FAULTS, Fault
from prefix_rft.audit.normaliser import by_hand, fit, row_shares
from prefix_rft.audit.plain import PlainModel
from prefix_rft.audit.report import CaseReport, Figure, worst
from prefix_rft.local.scoring import Parts, Split, TokenBudget, Uneven
from prefix_rft.settings import Aggregation, SftPhase

SPLITS: dict[str, Split] = {
    "1": Parts(1),
    "2": Parts(2),
    "4": Parts(4),
    "uneven": Uneven(),
    "token budget": TokenBudget(200),
}
"""The first is the mini-batch in one pass, with which the others are compared."""
TOLERANCE = 1e-4
"""Of gradients in float32: what the order of sums may change."""
DIVISOR = 5e-4
"""Of divisors, which count hundreds of tokens or more: one too many shows."""
TRAINED = 1e-2
"""Of the way that weights go: AdamW turns the rounding of gradients near zero into whole steps."""
STEPS = 3
"""Rollout steps of training."""
LEARNING_RATE = 1e-3
"""Of training, in place of the default, whose steps are lost in the rounding of float32 weights."""

BySplit = Mapping[str, Computed]


def check_case(backend: AuditBackend, plain: PlainModel, case: Case) -> CaseReport:
    """Everything about one method."""
    by_split = {name: backend.compute(case, split) for name, split in SPLITS.items()}
    trained = _train(backend, case, parts=4)
    return CaseReport(
        case.name,
        {
            "splits": splits_agree(by_split),
            "normaliser": one_normaliser(backend, plain, case.single()),
            "cross-entropy": is_cross_entropy(by_split, plain, case),
            "offload": Figure(deviation(_train(backend, case, parts=4, offload=True), trained), TRAINED)
            if backend.offloads
            else None,
            "accumulation": Figure(deviation(_train(backend, case, parts=1), trained), TRAINED),
            "skipped rows": skipping_changes_nothing(backend, plain, case) if backend.skips_rows else None,
        },
        {name: broken(backend, case.single(), fault) for name, fault in FAULTS.items()},
    )


def splits_agree(by_split: BySplit) -> Figure:
    """Gradients of every mini-batch and split against those of the first split."""
    whole = next(iter(by_split.values()))
    return _worst({name: _deviation_of_all(found, whole) for name, found in by_split.items()}, TOLERANCE)


def one_normaliser(backend: AuditBackend, plain: PlainModel, case: Case) -> Figure:
    """What the gradient of an uneven split was divided by against the count by hand, in every aggregation.

    The case has one mini-batch.
    """
    errors: dict[str, float] = {}
    divisors: dict[str, dict[str, dict[str, float | None]]] = {}
    for aggregation in get_args(Aggregation):
        wanted, sums = by_hand(case, aggregation), plain.sums(case, row_shares(case, aggregation))
        asked = case.with_phase(case.phase.model_copy(update={"aggregation": aggregation}))
        found = fit(backend.compute(asked, SPLITS["uneven"]).gradients[0], sums)
        errors[aggregation] = found.deviation(wanted)
        divisors[aggregation] = {"by_hand": asdict(wanted), "found": asdict(found)}
    return Figure(worst(errors.values()), DIVISOR, {"by": errors, "divisors": divisors})


def is_cross_entropy(by_split: BySplit, plain: PlainModel, case: Case) -> Figure | None:
    """SFT's loss and gradient in every split against PyTorch's function; None for methods that are not SFT."""
    if not isinstance(case.phase, SftPhase):
        return None
    wanted = plain.cross_entropy(case)
    by_name = {
        name: worst([abs(found.loss / wanted.loss - 1), _deviation_of_all(found, wanted)])
        for name, found in by_split.items()
    }
    return _worst(by_name, TOLERANCE)


def skipping_changes_nothing(backend: AuditBackend, plain: PlainModel, case: Case) -> Figure:
    """Gradients without the rows whose tokens all weigh zero against those with all rows."""
    split = SPLITS["token budget"]
    without, with_all = (backend.compute(case, split, skip=skip) for skip in (True, False))
    weights = plain.weights(case)
    weightless_B = ((weights.alpha_BT == 0) & (weights.beta_BT == 0)).all(dim=1)
    rows = {"rows": len(weightless_B), "weightless": int(weightless_B.sum())}
    return Figure(_deviation_of_all(without, with_all), TOLERANCE, rows)


def broken(backend: AuditBackend, case: Case, fault: Fault) -> Figure:
    """`splits_agree` of a trainer with this fault; for one mini-batch."""
    return splits_agree(
        {name: backend.compute(case, SPLITS[name], fault=fault) for name in ("1", "4", "uneven")}
    )


def deviation(found: Gradient, wanted: Gradient) -> float:
    """Largest length of a parameter's difference, relative to the parameter's length in `wanted`.

    Infinite where `wanted` is zero throughout: nothing can be told from nothing.
    """
    if not any(bool(tensor.any()) for tensor in wanted.values()):
        return float("inf")
    zero = torch.zeros(())
    names = found.keys() | wanted.keys()
    return worst(_relative(found.get(name, zero), wanted.get(name, zero)) for name in names)


def _relative(found: Tensor, wanted: Tensor) -> float:
    difference, length = float((found.double() - wanted).norm()), float(wanted.double().norm())
    if length == 0:
        return 0.0 if difference == 0 else float("inf")
    return difference / length


def _deviation_of_all(found: Computed, wanted: Computed) -> float:
    pairs = zip(found.gradients, wanted.gradients, strict=True)
    return worst(deviation(ours, theirs) for ours, theirs in pairs)


def _worst(by_name: Mapping[str, float], tolerance: float) -> Figure:
    return Figure(worst(by_name.values()), tolerance, {"by": dict(by_name)})


def _train(backend: AuditBackend, case: Case, *, parts: int, offload: bool = False) -> Gradient:
    quick = case.with_phase(case.phase.model_copy(update={"learning_rate": LEARNING_RATE}))
    return backend.train(quick, Parts(parts), steps=STEPS, offload=offload)
