"""No number is typed by hand: a score that changes in the store changes in everything that is made of the store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiments.commands.reports import report_begun
from experiments.plan import plan
from experiments.selection import Selection, select
from prefix_rft.errors import RunError
from prefix_rft.runs.identity import evaluation_folder
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import Store

GIVEN = ["seed=0,1", "tracking=disabled", "evaluation.samples=4", "evaluation.pass_at=[1,2]"]
RATES = {"base": 0.1, "sft": 0.5, "rft": 0.3, "prefix_rft": 0.9}
METHODS = "method=sft,rft,prefix_rft"


@pytest.fixture
def selection(build: Any, make_verdicts: Any) -> Selection:
    """The main table's runs, finished, with verdicts that this file makes up."""
    chosen = select("main_results", [*GIVEN, METHODS, f"store={build.store.root}"])
    for task in plan(chosen.configs).tasks:
        run = build.store.create(task.run.identity, task.run.config)
        StateWriter(run.path).attempt()
        StateWriter(run.path).done()
        method = "base" if run.kind == "base" else task.run.config.method.name
        build.evaluate(run, make_verdicts(RATES[method], method, task.run.config.seed))
        build.curve(run.id, [0.1, 0.2, 0.3], {1: 0.1, 3: 0.5})
    return chosen


def written(build: Any, folder: Path, *names: str) -> dict[str, bytes]:
    console = Console(width=200, record=True)
    given = [*GIVEN, METHODS, f"store={build.store.root}"]
    assert report_begun(given, list(names), folder, "2026-11-21", console) == 0
    return {str(path.relative_to(folder)): path.read_bytes() for path in files(folder)}


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_changed_score_is_found_in_every_output(
    build: Any, make_verdicts: Any, selection: Selection, tmp_path: Path
) -> None:
    before = written(build, tmp_path / "before", "main_results")
    (cell,) = [cell for cell in selection.cells if (cell.method, cell.seed) == ("prefix_rft", 1)]
    run = build.store.open(cell.run_id)
    shutil.rmtree(run.path / "eval" / "test" / evaluation_folder(run.config()))
    build.evaluate(run, make_verdicts(0.6, "changed"))
    after = written(build, tmp_path / "after", "main_results")
    assert before.keys() == after.keys()
    same = {name for name in before if before[name] == after[name]}
    of_curves = {name for name in before if "curves" in name or "diagnostics" in name}
    # Nothing of the score is in the training curves.
    assert same <= of_curves
    for kind in ("md", "csv", "tex"):
        assert {
            f"main_results/{name}.{kind}" for name in ("table", "orderings", "published")
        } <= after.keys() - same
    assert {
        "index.md",
        "index.html",
        "main_results/report.md",
        "main_results/scores.csv",
    } <= after.keys() - same


def test_the_same_store_and_date_give_the_same_bytes(
    build: Any, selection: Selection, tmp_path: Path
) -> None:
    one = written(build, tmp_path / "one", "main_results")
    assert one == written(build, tmp_path / "other", "main_results")


def test_sweeps_without_a_run_are_named_and_not_written(
    build: Any, selection: Selection, tmp_path: Path
) -> None:
    console = Console(width=200, record=True)
    given = [*GIVEN, f"store={build.store.root}"]
    report_begun(given, ["main_results", "schedule"], tmp_path / "out", "2026-11-21", console)
    assert "Not begun with these settings: schedule." in console.export_text()
    assert not (tmp_path / "out" / "schedule").exists()


def test_a_store_without_runs_is_refused_with_the_next_step(tmp_path: Path) -> None:
    given = [*GIVEN, f"store={tmp_path / 'runs'}"]
    with pytest.raises(RunError, match=r"has no run of main_results, schedule\. Name the store"):
        report_begun(given, ["main_results", "schedule"], tmp_path / "out", "2026-11-21", Console())
    assert not (tmp_path / "out").exists()
    assert not Store(tmp_path / "runs").root.exists()
