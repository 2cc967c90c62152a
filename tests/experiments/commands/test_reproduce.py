"""`prefix-rft reproduce`: what it runs, what it writes, and that it can be killed anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from experiments.commands import reports
from experiments.commands import reproduce as command
from experiments.commands.reproduce import reproduce
from experiments.execute import Report
from experiments.exits import CellsFailedError, CellsInterruptedError
from experiments.plan import plan
from prefix_rft.errors import RunError
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.store import Store

SWEEPS = ["main_results", "pass_at_k"]
FEW = ["seed=0", "method=rft,luffy"]
PATIENCE_SECONDS = 240.0


@pytest.fixture
def console():
    return Console(width=160, record=True)


@pytest.fixture
def executed(monkeypatch):
    """What was asked to be executed; nothing is."""
    asked = []

    def pretend(configs):
        asked.append(configs)
        return Report(plan(configs))

    monkeypatch.setattr(command, "execute", pretend)
    return asked


def test_all_sweeps_are_executed_at_once_and_shared_runs_are_said(tmp_path, executed, console):
    assert (
        reproduce(SWEEPS, [*FEW, f"store={tmp_path / 'runs'}"], tmp_path / "out", "2026-11-21", console) == 0
    )
    (configs,) = executed
    assert [(config.sweep, config.method.name) for config in configs] == [
        ("main_results", "rft"),
        ("main_results", "luffy"),
        ("pass_at_k", "rft"),
        ("pass_at_k", "luffy"),
    ]
    said = " ".join(console.export_text().split())
    assert "2 sweeps, 4 cells, 3 distinct runs (3 shared between sweeps): 0 worked on, 0 done before;" in said


def test_every_sweep_has_a_folder_and_the_index_leads_to_it(tmp_path, executed, console):
    out = tmp_path / "out"
    reproduce(SWEEPS, [*FEW, f"store={tmp_path / 'runs'}"], out, "2026-11-21", console)
    index = (out / "index.md").read_text()
    assert "2026-11-21." in index
    for name, title in (("main_results", "Main results"), ("pass_at_k", "What many samples reach")):
        assert f"# {title}" in (out / name / "report.md").read_text()
        assert f"[{title}]({name}/report.md)" in index


def test_a_report_that_cannot_be_written_costs_no_other(tmp_path, executed, console, monkeypatch):
    load = reports.load

    def damaged(selection):
        if selection.name == "main_results":
            raise RunError("two runs stand in one place")
        return load(selection)

    monkeypatch.setattr(reports, "load", damaged)
    with pytest.raises(CellsFailedError, match="1 of 2 reports failed:\n  main_results: RunError: two runs"):
        reproduce(SWEEPS, [*FEW, f"store={tmp_path / 'runs'}"], tmp_path / "out", "2026-11-21", console)
    assert (tmp_path / "out" / "pass_at_k" / "report.md").exists()
    index = (tmp_path / "out" / "index.md").read_text()
    assert "pass_at_k/report.md" in index
    assert "main_results/report.md" not in index


def test_reports_are_written_although_a_run_failed(tmp_path, console, monkeypatch):
    monkeypatch.setattr(command, "execute", lambda configs: Report(plan(configs), failures={"x": "broken"}))
    with pytest.raises(CellsFailedError, match="1 of 3 runs failed:\n  x: broken"):
        reproduce(SWEEPS, [*FEW, f"store={tmp_path / 'runs'}"], tmp_path / "out", "2026-11-21", console)
    assert (tmp_path / "out" / "main_results" / "report.md").exists()


def test_nothing_is_written_where_it_was_stopped(tmp_path, console, monkeypatch):
    monkeypatch.setattr(command, "execute", lambda configs: Report(plan(configs), interrupted=True))
    with pytest.raises(CellsInterruptedError):
        reproduce(SWEEPS, [*FEW, f"store={tmp_path / 'runs'}"], tmp_path / "out", "2026-11-21", console)
    assert not (tmp_path / "out").exists()


def start(folder: Path, tiny: tuple[str, ...]) -> subprocess.Popen[str]:
    """The command in a folder of its own, on runs that take long enough to be met at work."""
    longer = ["optimisation.rl.steps=120", "optimisation.rl.checkpoint_every=30", "launcher.workers=2"]
    asked = ["--only", ",".join(SWEEPS), "--out", "out", *tiny, *FEW, *longer]
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", "reproduce", *asked],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, " ".join((out + errors).split())


def wait(process: subprocess.Popen[str], condition) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.005)


def rows(store: Store) -> int:
    """Training steps recorded by all runs."""
    return sum(row["kind"] == "train" for run in store.runs() if run.kind == "train" for row in run.metrics())


def tables(folder: Path) -> dict[str, bytes]:
    """What says nothing about time."""
    kept = ("table.md", "table.csv", "table.tex", "scores.csv")
    return {str(path.relative_to(folder)): path.read_bytes() for name in kept for path in folder.rglob(name)}


@pytest.mark.slow
def test_killed_interrupted_and_started_again_it_ends_with_the_same_tables(tmp_path, tiny):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
    code, said = finish(start(undisturbed, tiny))
    assert code == 0, said
    assert "3 distinct runs (3 shared between sweeps): 3 worked on, 0 done before" in said

    store = Store(disturbed / "runs")
    for number, expected in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 75)):
        process = start(disturbed, tiny)
        before = rows(store)
        wait(process, lambda before=before: rows(store) >= before + 10)
        process.send_signal(number)
        assert finish(process)[0] == expected
        assert not (disturbed / "out").exists()
        while any(
            is_locked(run.path) for run in store.runs()
        ):  # killed, it leaves its runs to save and leave
            time.sleep(0.05)
    code, said = finish(start(disturbed, tiny))
    assert code == 0, said
    assert tables(disturbed / "out") == tables(undisturbed / "out")
    assert len(tables(disturbed / "out")) == 2 * 4

    for run in store.runs():
        done = [event["stage"] for event in run.events() if event["event"] == "stage done"]
        assert len(done) == len(set(done)) == 3  # training, and the evaluations of two sweeps
        if run.kind == "train":
            steps = [row["step"] for row in run.metrics() if row["kind"] == "train"]
            assert steps == list(range(1, 121))

    code, said = finish(start(disturbed, tiny))
    assert (code, "0 worked on, 3 done before" in said) == (0, True)
