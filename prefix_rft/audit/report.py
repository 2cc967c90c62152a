"""What an audit found; imports without torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured deviation beside the largest that rounding explains."""

    deviation: float
    """Relative; see the check for what of."""
    tolerance: float
    details: dict[str, Any] = field(default_factory=dict)
    """What the check counted or compared, for a closer look."""

    @property
    def within(self) -> bool:
        """Whether rounding explains it; never true of NaN."""
        return self.deviation <= self.tolerance

    @property
    def beyond(self) -> bool:
        """Whether rounding cannot explain it; never true of NaN either."""
        return self.deviation > self.tolerance


@dataclass(frozen=True)
class CaseReport:
    """All that was measured of one method."""

    name: str
    checks: dict[str, Figure | None]
    """By check; None where it does not apply to the method."""
    broken: dict[str, Figure]
    """The gradients' deviation over splits in each broken trainer."""

    def failures(self) -> Iterator[str]:
        """One line for each check that failed and each broken trainer that passed."""
        for check, figure in self.checks.items():
            if figure is not None and not figure.within:
                yield f"{self.name}: {check} deviates by {figure.deviation:.1e}, more than {figure.tolerance:.0e}"
        for fault, figure in self.broken.items():
            if not figure.beyond:
                yield f"{self.name}: the broken trainer {fault!r} was not caught ({figure.deviation:.1e})"


@dataclass(frozen=True)
class AuditReport:
    """The whole audit of one backend."""

    backend: str
    device: str
    cases: tuple[CaseReport, ...]
    seconds: float

    def failures(self) -> list[str]:
        """All that is wrong; empty where the audit passes."""
        return [line for case in self.cases for line in case.failures()]

    @property
    def passed(self) -> bool:
        """Whether every check holds and every broken trainer was caught."""
        return not self.failures()

    def verdict(self) -> str:
        """One line."""
        failures = self.failures()
        if failures:
            return f"audit FAILED on {self.backend}: " + "; ".join(failures)
        checks = sum(figure is not None for case in self.cases for figure in case.checks.values())
        broken = sum(len(case.broken) for case in self.cases)
        return (
            f"audit passed on {self.backend} ({self.device}): {checks} checks of {len(self.cases)} updates hold, "
            f"all {broken} broken trainers were caught; {self.seconds:.0f} s"
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "backend": self.backend,
            "device": self.device,
            "passed": self.passed,
            "failures": self.failures(),
            "seconds": self.seconds,
            "cases": {case.name: _case_as_dict(case) for case in self.cases},
        }


def _case_as_dict(case: CaseReport) -> dict[str, Any]:
    return {
        "checks": {
            name: None if figure is None else {**_figure_as_dict(figure), "passed": figure.within}
            for name, figure in case.checks.items()
        },
        "broken": {
            name: {**_figure_as_dict(figure), "caught": figure.beyond} for name, figure in case.broken.items()
        },
    }


def _figure_as_dict(figure: Figure) -> dict[str, Any]:
    numbers = {"deviation": figure.deviation, "tolerance": figure.tolerance, **figure.details}
    return {name: _as_json(value) for name, value in numbers.items()}


def _as_json(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become words."""
    if isinstance(value, dict):
        return {name: _as_json(item) for name, item in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def worst(deviations: Iterable[float]) -> float:
    """The largest; NaN where any is, which `max` could lose."""
    found = list(deviations)
    return math.nan if any(map(math.isnan, found)) else max(found)
