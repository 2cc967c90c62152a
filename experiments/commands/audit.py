"""`prefix-rft audit`: the fair-baseline check as one table and one verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.commands.bars import NamedBars, bars
from experiments.exits import FAILED
from prefix_rft.audit import AuditReport, CaseReport, Figure
from prefix_rft.audit.suite import audit as run_audit
from prefix_rft.runs.atomic import write_json

_LEGEND = (
    "Largest relative deviations. A check holds where rounding explains its deviation; the four trainers on the right "
    "are broken on purpose and must deviate by more. docs/fair-baselines.md says what each column compares."
)


def audit(backend: str, methods: Sequence[str], *, json_path: Path | None = None, console: Console) -> int:
    """Audit a backend and print the table.

    Args:
        backend: one of `prefix_rft.audit.installed()`.
        methods: names of methods; all of them where empty.
        json_path: also write every figure to this file.
        console: where to print.

    Returns:
        0 where every check holds and every broken trainer was caught, 1 otherwise.

    Raises:
        SettingsError: there is no such backend or method.
    """
    with bars(Console(stderr=True)) as progress:
        bar = NamedBars(progress)
        report = run_audit(backend, methods, lambda done, total: bar("audit", done, total))
    console.print(table(report, boxed=console.is_terminal))
    console.print(Text(_LEGEND))
    console.print(Text(report.verdict()), soft_wrap=True)
    if json_path is not None:
        write_json(json_path, report.as_dict())
    return 0 if report.passed else FAILED


def table(report: AuditReport, *, boxed: bool = False) -> Table:
    """A row for each audited update, a column for each check and each broken trainer."""
    first = report.cases[0]
    shown = Table(box=SIMPLE_HEAD if boxed else None)
    shown.add_column("update", no_wrap=True)
    for name in (*first.checks, *first.broken):
        shown.add_column(name, justify="right")
    for case in report.cases:
        shown.add_row(case.name, *_cells(case))
    return shown


def _cells(case: CaseReport) -> list[str]:
    checks = [_cell(figure, "ok", "FAILED") for figure in case.checks.values()]
    return checks + [_cell(figure, "caught", "MISSED", must_hold=False) for figure in case.broken.values()]


def _cell(figure: Figure | None, good: str, bad: str, *, must_hold: bool = True) -> str:
    if figure is None:
        return "-"
    number = "0" if figure.deviation == 0 else f"{figure.deviation:.0e}"
    return f"{number} {good if (figure.within if must_hold else figure.beyond) else bad}"
