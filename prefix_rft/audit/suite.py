"""The audit of one backend: every method, every check, every broken trainer."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from prefix_rft.audit.backends import make_backend
from prefix_rft.audit.cases import make_cases, write_model
from prefix_rft.audit.checks import check_case
from prefix_rft.audit.plain import PlainModel
from prefix_rft.audit.report import AuditReport, CaseReport
from prefix_rft.errors import SettingsError, unknown
from prefix_rft.local.policy import load_policy
from prefix_rft.methods import METHODS
from prefix_rft.settings import LocalBackend

Progress = Callable[[int, int], None]
"""Told how many updates are audited, and of how many."""


def audit(
    backend: str = "local", methods: Sequence[str] = (), progress: Progress | None = None
) -> AuditReport:
    """Audit the updates of these methods, of all of them where none is named.

    Raises:
        SettingsError: there is no such backend or method.
    """
    strange = [name for name in methods if name not in METHODS]
    if strange:
        raise SettingsError(unknown("method", strange[0], METHODS))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder)
        write_model(model)
        audited = make_backend(backend, model)
        cases = list(make_cases(load_policy(model, LocalBackend()), methods or list(METHODS)))
        plain = PlainModel(model)
        reports: list[CaseReport] = []
        for case in cases:
            reports.append(check_case(audited, plain, case))
            if progress is not None:
                progress(len(reports), len(cases))
    return AuditReport(backend, audited.device, tuple(reports), time.perf_counter() - started)
