"""Figures are drawn again when anything that they show has changed, and only then."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import figure_folders, figure_note
from analysis.cells import Cell
from analysis.figure_folders import Drawn, draw, drawings
from analysis.results import Results, load_results


@pytest.fixture
def cells(build: Any, make_verdicts: Any) -> list[Cell]:
    return [
        build.done(method, seed, make_verdicts(0.5, method, seed))
        for method in ("sft", "rft")
        for seed in (0, 1)
    ]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that were drawn into; the drawing itself is a file of each kind."""
    found: list[Path] = []

    def pretend(results: Results, folder: Path) -> dict[str, str]:
        found.append(folder)
        for kind in figure_folders.KINDS:
            (folder / f"scores.{kind}").write_text(f"{len(found)}")
        return {"scores": f"drawing {len(found)}"}

    monkeypatch.setattr(figure_folders, "_drawn_anew", pretend)
    return found


def test_the_same_data_are_drawn_once(
    build: Any, cells: list[Cell], asked: list[Path], tmp_path: Path
) -> None:
    for _ in range(2):
        assert draw(load_results(build.store, cells), tmp_path) == (Drawn("scores", "drawing 1"),)
    assert asked == [tmp_path]


def test_another_score_is_drawn_again(
    build: Any, cells: list[Cell], asked: list[Path], make_verdicts: Any, tmp_path: Path
) -> None:
    draw(load_results(build.store, cells), tmp_path)
    run = build.store.open(cells[0].run_id)
    shutil.rmtree(run.path / "eval")
    build.evaluate(run, make_verdicts(0.5, "other"))
    assert draw(load_results(build.store, cells), tmp_path) == (Drawn("scores", "drawing 2"),)


def test_the_same_scores_on_other_questions_are_drawn_again(
    build: Any, asked: list[Path], tmp_path: Path
) -> None:
    right, wrong = [[1, 1, 1, 1]] * 3, [[0, 0, 0, 0]] * 3
    cell = build.done("sft", 0, right + wrong)
    draw(load_results(build.store, [cell]), tmp_path)
    shutil.rmtree(build.store.path(cell.run_id) / "eval")
    build.evaluate(build.store.open(cell.run_id), np.array(wrong + right, bool))
    assert draw(load_results(build.store, [cell]), tmp_path) == (Drawn("scores", "drawing 2"),)


def test_another_curve_another_row_and_another_state_are_drawn_again(
    build: Any, cells: list[Cell], asked: list[Path], tmp_path: Path
) -> None:
    draw(load_results(build.store, cells), tmp_path)
    build.curve(cells[0].run_id, [0.5], {1: 0.5})
    draw(load_results(build.store, cells), tmp_path)
    draw(load_results(build.store, cells[:3]), tmp_path)
    draw(load_results(build.store, cells, sweep="main_results"), tmp_path)
    assert len(asked) == 4


@pytest.mark.parametrize(
    "damage", ["a file changed", "a file gone", "the note torn", "the note odd", "other code"]
)
def test_what_cannot_be_trusted_is_drawn_again(
    build: Any,
    cells: list[Cell],
    asked: list[Path],
    tmp_path: Path,
    damage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw(load_results(build.store, cells), tmp_path)
    note = tmp_path / figure_note.NOTE
    if damage == "a file changed":
        (tmp_path / "scores.svg").write_text("painted over")
    elif damage == "a file gone":
        (tmp_path / "scores.pdf").unlink()
    elif damage == "the note torn":
        note.write_bytes(note.read_bytes()[:40])
    elif damage == "the note odd":
        note.write_text(json.dumps(json.loads(note.read_text()) | {"captions": {"../scores": "x"}}))
    else:
        monkeypatch.setattr(figure_note, "_code", lambda: "another version")
    assert draw(load_results(build.store, cells), tmp_path) == (Drawn("scores", "drawing 2"),)


def test_figures_that_are_no_longer_drawn_go(
    build: Any, cells: list[Cell], asked: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    for kind in figure_folders.KINDS:
        (folder / f"old.{kind}").write_text("x")
    draw(load_results(build.store, cells), folder)
    assert {path.stem for path in folder.iterdir()} == {"scores", "drawn"}


def test_processes_draw_what_one_process_draws(build: Any, cells: list[Cell], tmp_path: Path) -> None:
    results = load_results(build.store, cells)
    alone = draw(results, tmp_path / "alone")
    folders = {tmp_path / "one": results, tmp_path / "two": results}
    with drawings(folders) as drawing:
        together = [drawing.of(results, folder) for folder in folders]
    assert together == [alone, alone]
    for folder in folders:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()
        }


@pytest.mark.parametrize("value", [[1.0, 2.0], {"a": 1}, "\ud800", None, True])
def test_whatever_a_metric_holds_can_be_noted(build: Any, cells: list[Cell], value: object) -> None:
    results = load_results(build.store, cells)
    curves = pd.DataFrame({"step": [1], "x": pd.Series([value], dtype=object)})
    changed = replace(results, frames=replace(results.frames, curves=curves))
    assert figure_note.source_of(changed) != figure_note.source_of(results)
