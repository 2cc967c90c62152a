"""`python -m experiments.run` from outside: what it trains, what it leaves alone, how it ends."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app

pytestmark = pytest.mark.usefixtures("swept")


@pytest.fixture(scope="module")
def swept(door):
    """A sweep of two methods over one seed, one run at a time."""
    code, said = door.run("--multirun", "method=sft,rft", "launcher.workers=1")
    assert code == 0, said
    return said


def attempts(run) -> int:
    return run.state().attempt


def test_a_sweep_trains_and_evaluates_every_distinct_run_once(door, swept):
    assert swept.splitlines()[-1].startswith("2 cells, 3 runs: 3 done; ")
    runs = [door.base(), door.only("sft"), door.only("rft")]
    assert [(run.state().status, attempts(run)) for run in runs] == [("done", 1)] * 3
    assert [run.checkpoints()[-1].step for run in runs] == [2, 2, 4]
    assert all(len(list(run.path.glob("eval/test/tiny-*/scores.json"))) == 1 for run in runs)


def test_where_there_is_no_terminal_every_beginning_and_end_is_a_line(door, swept):
    words = [re.sub(r" \(\d+ s\)", "", " ".join(line.split()[1:])) for line in swept.splitlines()[:-1]]
    names = ["base model (tiny)", "sft seed 0", "rft seed 0"]
    assert words == [f"{name} {word}" for name in names for word in ("running", "done")]


def test_workers_is_how_many_runs_go_at_a_time(door):
    def span(run):
        times = {event["event"]: datetime.fromisoformat(event["time"]) for event in run.events()}
        return times["attempt"], times["done"]

    spans = sorted(span(run) for run in door.store.runs())
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_nothing_is_left_in_the_folder_but_the_store(door):
    assert [path.name for path in door.folder.iterdir()] == ["runs"]


def test_asking_again_starts_no_process(door):
    code, said = door.run("--multirun", "method=sft,rft")
    assert (code, said) == (0, "2 cells, 3 runs: 3 done (3 before)\n")
    assert {attempts(run) for run in (door.base(), door.only("sft"), door.only("rft"))} == {1}


def test_a_single_run_shares_what_a_sweep_trained(door):
    code, said = door.run("method=rft")
    assert (code, said) == (0, "1 cell, 2 runs: 2 done (2 before)\n")


def test_another_evaluation_of_a_trained_run_trains_nothing(door):
    before = door.only("sft").metrics()
    code, said = door.run("--multirun", "method=sft", "evaluation.seed=0,1")
    assert code == 0, said
    assert door.only("sft").metrics() == before
    assert len(list(Path(door.only("sft").path).glob("eval/test/tiny-*/scores.json"))) == 2


def test_a_cell_that_fails_stops_no_other(door):
    """Without demonstrations SFT has nothing to learn from, which shows only once the data is read."""
    code, said = door.run("--multirun", "method=sft,sft_rft,rft", "data.demonstration_coverage=0.0", "seed=7")
    assert code == 1
    sft, rft = door.only("sft", 7), door.only("rft", 7)
    assert [run.state().status for run in (sft, rft)] == ["failed", "done"]
    summary = said.splitlines()[-3:]
    assert summary[0] == "2 of 4 runs failed:"
    assert summary[1].startswith(f"  {sft.id}: DataError: no training question has a demonstration")
    assert summary[1].endswith(f"(log: runs/{sft.id}/run.log)")
    assert "Traceback" in (sft.path / "run.log").read_text()
    assert summary[2].endswith(f"not started: it needs run {sft.id}, which failed")
    assert "Traceback" not in said


def test_why_a_cell_failed_stands_in_status_and_table(door, tiny, monkeypatch):
    monkeypatch.chdir(door.folder)
    failed = door.only("sft", 7)
    status = CliRunner().invoke(app, ["status"])
    assert f"{failed.id}: DataError: no training question has a demonstration" in " ".join(
        status.stdout.split()
    )
    asked = ["method=sft,sft_rft,rft", "seed=7", "data.demonstration_coverage=0.0"]
    table = CliRunner().invoke(app, ["table", *tiny, *asked])
    assert table.exit_code == 0, table.stderr
    rows = [" ".join(line.split()) for line in table.stdout.splitlines()]
    for start in ("SFT 0/1 failed: DataError", "SFT→RFT 0/1 not started", "RFT 1 "):
        assert any(row.startswith(start) for row in rows), start
