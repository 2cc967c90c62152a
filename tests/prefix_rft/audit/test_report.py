from __future__ import annotations

import json
import math

import pytest

from prefix_rft.audit.report import AuditReport, CaseReport, Figure, worst

HOLDS, FAILS = Figure(1e-6, 1e-4), Figure(3e-2, 1e-4)


def _report(check: Figure | None, broken: Figure) -> AuditReport:
    return AuditReport("local", "cpu", (CaseReport("rft", {"splits": check}, {"last only": broken}),), 1.0)


def test_it_passes_where_checks_hold_and_faults_deviate() -> None:
    report = _report(HOLDS, FAILS)
    assert report.passed
    assert report.verdict() == (
        "audit passed on local (cpu): 1 checks of 1 updates hold, all 1 broken trainers were caught; 1 s"
    )


def test_a_check_that_deviates_fails() -> None:
    assert _report(FAILS, FAILS).failures() == ["rft: splits deviates by 3.0e-02, more than 1e-04"]


def test_a_broken_trainer_that_agrees_fails_the_audit() -> None:
    report = _report(HOLDS, HOLDS)
    assert not report.passed
    assert report.verdict() == (
        "audit FAILED on local: rft: the broken trainer 'last only' was not caught (1.0e-06)"
    )


@pytest.mark.parametrize("check", [math.nan, math.inf])
def test_what_is_not_a_number_fails(check: float) -> None:
    assert not _report(Figure(check, 1e-4), FAILS).passed


def test_a_broken_trainer_that_is_not_a_number_is_not_caught() -> None:
    assert not _report(HOLDS, Figure(math.nan, 1e-4)).passed


def test_a_check_that_does_not_apply_is_left_out() -> None:
    assert _report(None, FAILS).passed
    assert "0 checks" in _report(None, FAILS).verdict()


def test_everything_is_json_even_what_json_has_no_number_for() -> None:
    figure = Figure(math.inf, 1e-4, {"by": {"2": math.nan, "4": 0.5}, "rows": 3})
    found = json.loads(json.dumps(_report(figure, FAILS).as_dict(), allow_nan=False))
    assert found["passed"] is False
    assert found["cases"]["rft"]["checks"]["splits"] == {
        "deviation": "inf",
        "tolerance": 1e-4,
        "by": {"2": "nan", "4": 0.5},
        "rows": 3,
        "passed": False,
    }
    assert found["cases"]["rft"]["broken"]["last only"]["caught"] is True


def test_the_worst_keeps_what_is_not_a_number() -> None:
    assert worst([1.0, 3.0, 2.0]) == 3.0
    assert math.isnan(worst([1.0, math.nan, 2.0]))
