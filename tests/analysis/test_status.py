"""Every run with where it stands, and nothing heavy imported to say so."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from analysis import render
from analysis.status import short_duration, status_rows, status_table
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.state import StateWriter


def soon() -> datetime:
    """Some four minutes from now; asked when it is needed, since other tests may run for minutes before."""
    return datetime.now(UTC) + timedelta(minutes=4, seconds=10)


def test_a_running_run_shows_step_reward_and_accuracy(build):
    run = build.new("prefix_rft", 3)
    build.curve(run.id, [0.1, 0.2, 0.4], {2: 0.55})
    with RunLock(run.path):
        StateWriter(run.path).attempt()
        StateWriter(run.path).running("train", step=3, total_steps=60)
        (row,) = status_rows(build.store, soon())
    assert (row.id, row.kind, row.method, row.seed, row.state) == (
        run.id,
        "train",
        "prefix_rft",
        3,
        "running",
    )
    assert (row.stage, row.step, row.reward, row.accuracy) == ("train", "3/60", 0.4, 0.55)
    assert 200 < row.age_seconds < 310


def test_a_failed_run_shows_its_cause_and_its_log_in_full(build):
    run = build.new("rft", 0)
    StateWriter(run.path).failed(RuntimeError("no memory " + "x" * 100), log="run.log")
    rows = status_rows(build.store, soon())
    table = status_table(rows)
    assert table.title == "1 run: 1 failed"
    assert table.notes == (f"{run.id}: RuntimeError: no memory {'x' * 100} (log: {run.path / 'run.log'})",)


def test_the_table_fits_eighty_columns(build):
    run = build.new("prefix_rft", 0)
    build.curve(run.id, [0.5], {1: 0.5})
    StateWriter(run.path).attempt()
    StateWriter(run.path).running("evaluate/test/avg32-0123abcd", step=512, total_steps=512)
    console = Console(width=80, record=True, file=StringIO())
    console.print(render.rich_renderable(status_table(status_rows(build.store, soon()))))
    (line,) = [line for line in console.export_text().splitlines() if run.id in line]
    assert line.split() == [
        run.id,
        "prefix_rft",
        "0",
        "lost",
        "eval",
        "512/512",
        "0.500",
        "0.500",
        "4",
        "min",
    ]


def test_runs_at_work_and_in_trouble_come_first(build):
    done, new, failed = build.new("sft", 0), build.new("sft", 1), build.new("sft", 2)
    StateWriter(done.path).done()
    StateWriter(failed.path).failed(ValueError("x"))
    assert [row.id for row in status_rows(build.store, soon())] == [failed.id, new.id, done.id]


def test_a_damaged_run_is_a_row_and_does_not_hide_the_others(build):
    good, bad = build.new("sft", 0), build.new("sft", 1)
    (bad.path / "state.json").write_text("{")
    rows = {row.id: row for row in status_rows(build.store, soon())}
    assert (rows[good.id].state, rows[bad.id].state) == ("new", "unreadable")
    assert "state.json" in rows[bad.id].cause


def test_the_base_run_has_no_seed(build):
    build.new("base")
    (row,) = status_rows(build.store, soon())
    assert (row.kind, row.method, row.seed) == ("base", "base", None)


def test_an_empty_store_has_no_runs(build):
    assert status_table(status_rows(build.store, soon())).title == "no runs yet"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_ages_are_in_their_largest_unit(seconds, shown):
    assert short_duration(seconds) == shown


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("analysis.status", ("torch", "pandas", "matplotlib", "scipy", "wandb", "hydra", "pyarrow")),
        ("analysis.render", ("torch", "pandas", "matplotlib", "scipy", "rich", "pyarrow")),
        ("analysis.tables", ("torch", "matplotlib", "wandb", "hydra", "transformers")),
        ("analysis.report", ("torch", "matplotlib", "wandb", "hydra", "transformers", "experiments")),
        ("analysis.figures", ("torch", "matplotlib.pyplot", "wandb", "experiments")),
    ],
)
def test_nothing_heavy_is_imported(module, forbidden):
    code = f"import sys, {module}; print([name for name in {forbidden!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
