"""`prefix-rft audit`: its table, its file and its exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from experiments.commands.audit import audit, table
from prefix_rft.audit import AuditReport, CaseReport, Figure
from prefix_rft.errors import SettingsError
from prefix_rft.local import update as update_module

HOLDS, FAILS = Figure(3.2e-7, 1e-4), Figure(0.97, 1e-4)


def _plain() -> Console:
    return Console(file=io.StringIO(), width=160)


def _said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_cells_say_what_holds_and_what_was_caught() -> None:
    case = CaseReport(
        "rft",
        {"splits": HOLDS, "normaliser": FAILS, "cross-entropy": None, "offload": Figure(0.0, 1e-4)},
        {"last only": FAILS, "by sequences": HOLDS},
    )
    console = _plain()
    console.print(table(AuditReport("local", "cpu", (case,), 1.0)))
    header, row = _said(console).splitlines()
    assert header.split() == [
        "update",
        "splits",
        "normaliser",
        "cross-entropy",
        "offload",
        "last",
        "only",
        "by",
        "sequences",
    ]
    assert row.split() == "rft 3e-07 ok 1e+00 FAILED - 0 ok 1e+00 caught 3e-07 MISSED".split()


def test_an_audit_that_passes(tmp_path: Path) -> None:
    console = _plain()
    assert audit("local", ["sft"], json_path=tmp_path / "audit.json", console=console) == 0
    said = _said(console)
    assert "audit passed on local" in said.splitlines()[-1]
    assert said.count("caught") == 5  # four broken trainers and the verdict
    figures = json.loads((tmp_path / "audit.json").read_text())
    assert figures["passed"] is True
    assert figures["cases"]["sft"]["checks"]["splits"]["deviation"] < 1e-5


def test_a_fault_in_the_code_ends_with_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right = update_module.token_scale

    def doubled(*arguments: Any) -> torch.Tensor:
        return 2 * right(*arguments)

    monkeypatch.setattr(update_module, "token_scale", doubled)
    console = _plain()
    assert audit("local", ["sft"], json_path=tmp_path / "audit.json", console=console) == 1
    verdict = _said(console).splitlines()[-1]
    assert verdict.startswith("audit FAILED on local: sft: normaliser deviates by 1.0e+00")
    assert json.loads((tmp_path / "audit.json").read_text())["passed"] is False


@pytest.mark.parametrize(
    ("backend", "methods", "message"),
    [("far", [], "unknown backend"), ("local", ["foo"], "unknown method 'foo'")],
)
def test_what_is_unknown_is_refused(backend: str, methods: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        audit(backend, methods, console=_plain())
