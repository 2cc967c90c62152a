"""What the report says about running things again is what runs them."""

from __future__ import annotations

import shlex

import pytest

from experiments.commands.report import commands
from experiments.compose import compose
from experiments.selection import select
from prefix_rft.runs.identity import chain


@pytest.mark.parametrize(
    ("sweep", "given"),
    [
        ("main_results", ["seed=0,1", "store=some where", "backend.micro_batch_tokens=4096"]),
        ("prefix_weighting", ["seed=0"]),
        ("data_fraction", ["seed=0"]),
    ],
)
def test_the_command_of_a_run_asks_for_that_run(sweep, given):
    selection = select(sweep, given)
    lines = commands(selection).runs
    assert lines.keys() >= {cell.run_id for cell in selection.cells}
    for cell in selection.cells:
        python, *rest = shlex.split(lines[cell.run_id])
        assert [python, *rest[:2]] == ["python", "-m", "experiments.run"]
        config = compose(rest[2:])
        asked = [planned.identity.id for planned in chain(config)]
        assert asked[-1] == cell.run_id or (cell.method == "base" and cell.run_id in asked)
        assert config.sweep is None, "one cell, not the sweep"
        assert config.store == selection.configs[0].store


def test_the_command_of_the_sweep_asks_for_all_of_it_on_this_machine():
    given = ["seed=0,1", "store=some where", "hydra/launcher=slurm", "cluster=mine"]
    command = commands(select("main_results", given)).sweep
    assert shlex.split(command) == [
        "python",
        "-m",
        "experiments.run",
        "--multirun",
        "+sweep=main_results",
        "seed=0,1",
        "store=some where",
    ]
