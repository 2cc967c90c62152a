"""From cells to the distinct runs they need, parents first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prefix_rft.runs.identity import PlannedRun, chain, evaluations
from prefix_rft.settings import RunConfig


@dataclass(frozen=True)
class Task:
    """One distinct run, and every configuration under which it is asked for; these can differ in the evaluation."""

    run: PlannedRun
    asked: tuple[RunConfig, ...]

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.identity.id

    @property
    def config(self) -> RunConfig:
        """The configuration that it is trained under."""
        return self.run.config


@dataclass(frozen=True)
class Plan:
    """The cells that were asked for and the distinct runs behind them."""

    cells: tuple[PlannedRun, ...]
    """One for every cell, in the order asked; two cells may share a run."""
    tasks: tuple[Task, ...]
    """Every distinct run once, each after its parent."""


def plan(configs: Sequence[RunConfig]) -> Plan:
    """Plan the runs of some cells.

    Raises:
        DataError: a file that counts for a run's identity cannot be read.
    """
    chains = [chain(config) for config in configs]
    return Plan(
        cells=tuple(steps[-1] for steps in chains),
        tasks=_distinct(run for steps in chains for run in steps),
    )


def _distinct(runs: Iterable[PlannedRun]) -> tuple[Task, ...]:
    first: dict[str, PlannedRun] = {}
    asked: dict[str, dict[tuple[tuple[str, str], ...], RunConfig]] = {}
    for run in runs:
        first.setdefault(run.identity.id, run)
        asked.setdefault(run.identity.id, {}).setdefault(evaluations(run.config), run.config)
    return tuple(Task(run, tuple(asked[run_id].values())) for run_id, run in first.items())
