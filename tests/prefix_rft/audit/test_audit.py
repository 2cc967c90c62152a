"""The audit of the real update: it passes, and it fails with every fault that is put into the code.

Axes: B rows, T response tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from prefix_rft.audit import AuditReport, CaseReport, local
from prefix_rft.audit.cases import make_cases, write_model
from prefix_rft.audit.faults import FAULTS
from prefix_rft.audit.suite import audit
from prefix_rft.errors import SettingsError
from prefix_rft.local import update as update_module
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import load_policy
from prefix_rft.local.scoring import Scorer
from prefix_rft.methods import METHODS
from prefix_rft.settings import LocalBackend


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _failed(report: AuditReport) -> set[str]:
    """Checks that failed in any case."""
    return {
        check
        for case in report.cases
        for check, figure in case.checks.items()
        if figure is not None and not figure.within
    }


@pytest.fixture(scope="module")
def whole() -> AuditReport:
    torch.set_num_threads(1)
    return audit()


def _case(report: AuditReport, name: str) -> CaseReport:
    return next(case for case in report.cases if case.name == name)


@pytest.mark.slow
def test_every_method_passes_and_every_broken_trainer_is_caught(whole: AuditReport) -> None:
    assert whole.failures() == []
    names = {case.name.partition(":")[0] for case in whole.cases}
    assert names == set(METHODS)
    assert all(case.broken.keys() == FAULTS.keys() for case in whole.cases)
    for case in whole.cases:
        assert all(figure.deviation > 0.1 for figure in case.broken.values())


@pytest.mark.slow
def test_the_checks_have_something_to_look_at(whole: AuditReport) -> None:
    """Else agreement would be empty: there are rows to skip, imitated tokens, and cross-entropies."""
    rft, hybrid = _case(whole, "rft"), _case(whole, "prefix_rft")
    skipped, normaliser = rft.checks["skipped rows"], hybrid.checks["normaliser"]
    assert skipped is not None
    assert normaliser is not None
    # Two of eight questions are always or never solved, and teach nothing.
    assert skipped.details == {"rows": 64, "weightless": 16}
    divisors = normaliser.details["divisors"]["constant"]
    assert divisors["by_hand"] == {"explored": 64 * 40, "imitated": 64 * 40}
    assert divisors["found"]["imitated"] == pytest.approx(64 * 40, rel=1e-3)
    imitating = {case.name for case in whole.cases if case.checks["cross-entropy"] is not None}
    assert imitating == {"sft", "relift: SFT step"}


@pytest.mark.parametrize("backend", ["local", "local_general"])
def test_sft_passes_on_both_paths(backend: str) -> None:
    report = audit(backend, ["sft"])
    assert report.failures() == []
    assert len(report.cases) == 1


def test_rows_are_of_very_different_lengths(tmp_path: Any) -> None:
    write_model(tmp_path)
    for case in make_cases(load_policy(tmp_path, LocalBackend()), ["sft", "prefix_rft"]):
        length_B = case.responses.batch.response_length_B
        assert int(length_B.max()) >= 10 * int(length_B.min())


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"unknown method 'luffi'\. Did you mean 'luffy'"):
        audit(methods=["luffi"])


def test_progress_is_told_of_every_update() -> None:
    told: list[tuple[int, int]] = []
    audit(methods=["sft"], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]


# Faults in the code itself.


def test_a_wrong_divisor_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One token too many in all splits alike: no two splits disagree."""
    right = update_module.token_scale

    def one_more(batch: Any, aggregation: Any, constant: int, *rest: Any) -> Tensor:
        scale_BT = right(batch, aggregation, constant, *rest)
        tokens = int(batch.response_length_B.sum())
        return scale_BT * tokens / (tokens + 1)

    monkeypatch.setattr(update_module, "token_scale", one_more)
    assert _failed(audit(methods=["sft"])) == {"normaliser", "cross-entropy"}


def test_a_scale_of_the_micro_batch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each micro-batch divided by its own tokens: what a loss's own mean does."""
    right = update_module._Update._backward

    def own_mean(self: Any, rows: Tensor, *rest: Any, **named: Any) -> float:
        length_B, kept_BT = self.batch.response_length_B[rows], self.scale_BT.clone()
        self.scale_BT[rows] = 1 / int(length_B.sum())
        try:
            return right(self, rows, *rest, **named)
        finally:
            self.scale_BT = kept_BT

    monkeypatch.setattr(update_module._Update, "_backward", own_mean)
    failed = _failed(audit(methods=["rft"]))
    assert {"splits", "normaliser", "accumulation"} <= failed


def test_gradients_that_are_dropped_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = update_module._Update._backward

    def forgetful(self: Any, *rest: Any, **named: Any) -> float:
        self.optimizer.zero_grad()
        return right(self, *rest, **named)

    monkeypatch.setattr(update_module._Update, "_backward", forgetful)
    assert {"splits", "normaliser", "cross-entropy", "accumulation"} <= _failed(audit(methods=["sft"]))


def test_a_row_that_no_micro_batch_holds_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Scorer.micro_batches

    def leaky(self: Scorer, rows: Tensor) -> list[Tensor]:
        parts = right(self, rows)
        return [part[1:] if len(parts) > 1 and len(part) > 1 else part for part in parts]

    monkeypatch.setattr(Scorer, "micro_batches", leaky)
    assert "splits" in _failed(audit(methods=["rft"]))


def test_skipping_rows_that_have_weights_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(self: Any, rows: Tensor) -> Tensor:
        return rows[self.alpha_BT[rows].sum(dim=1) > 0] if self.skip else rows

    monkeypatch.setattr(update_module._Update, "_active", greedy)
    assert _failed(audit(methods=["rft"])) == {"skipped rows"}


def test_an_offloaded_state_that_is_stale_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient is fetched once and never again."""
    right = Optimizer.step

    def stale(self: Any) -> float:
        if self.updates_done == 0:
            for apart, parameter in zip(self._apart, self._model, strict=True):
                apart.grad = parameter.grad.clone()
            self.first = [apart.grad.clone() for apart in self._apart]
        for apart, gradient in zip(self._apart, self.first, strict=True):
            apart.grad = gradient.clone()
        norm = right(self)
        with torch.no_grad():
            for apart, parameter in zip(self._apart, self._model, strict=True):
                parameter.copy_(apart)
        return norm

    monkeypatch.setattr(local._Offloaded, "step", stale)
    assert _failed(audit(methods=["sft"])) == {"offload"}


def test_a_likelihood_that_leaves_out_a_token_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the response is not learnt: every split agrees, and the divisor is nearly right."""
    right: Callable[..., Any] = update_module.surrogate

    def shorter(*tensors: Any, response_BT: Tensor, **named: Any) -> Any:
        found = right(*tensors, response_BT=response_BT, **named)
        last_BT = response_BT & ~torch.nn.functional.pad(response_BT[:, 1:], (0, 1))
        return replace(found, loss_BT=found.loss_BT.masked_fill(last_BT, 0.0))

    monkeypatch.setattr(update_module, "surrogate", shorter)
    assert _failed(audit(methods=["sft"])) == {"normaliser", "cross-entropy"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_trainer_that_is_whole_fails_the_audit(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(FAULTS, name, lambda plan, aggregation: [1.0] * len(plan))
    (failure,) = audit(methods=["sft"]).failures()
    assert failure.startswith(f"sft: the broken trainer {name!r} was not caught")
