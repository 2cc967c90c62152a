"""From cells to the distinct runs they need, parents first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prefix_rft.runs.identity import PlannedRun, chain
from prefix_rft.settings import RunConfig


@dataclass(frozen=True)
class Plan:
    """The cells that were asked for and the distinct runs behind them."""

    cells: tuple[PlannedRun, ...]
    """One for every cell, in the order asked; two cells may share a run."""
    runs: tuple[PlannedRun, ...]
    """Every distinct run once, each after its parent."""


def plan(configs: Sequence[RunConfig]) -> Plan:
    """Plan the runs of some cells."""
    chains = [chain(config) for config in configs]
    return Plan(
        cells=tuple(steps[-1] for steps in chains),
        runs=tuple(_distinct(run for steps in chains for run in steps)),
    )


def _distinct(runs: Iterable[PlannedRun]) -> Iterable[PlannedRun]:
    seen: set[str] = set()
    for run in runs:
        if run.identity.id not in seen:
            seen.add(run.identity.id)
            yield run
