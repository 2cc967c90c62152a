"""Dashboards as descriptions and as W&B's objects; what is written is read back and is the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import prefix_rft
from analysis.cells import Cell
from analysis.dashboards import Bars, Dashboard, Lines, Panel, TableOf, Words, dashboard
from analysis.dashboards_wandb import (
    read_report,
    read_workspace,
    report,
    report_title,
    view_name,
    workspace,
    write_specifications,
)

CELLS = [
    Cell("a" * 12, "base", None, "Base"),
    *(Cell(f"{seed}" * 12, "prefix_rft", seed, "Prefix-RFT") for seed in (0, 1)),
    Cell("b" * 12, "sft", 0, "SFT"),
]
SCORE = "eval/test/avg32_00c0ffee/avg_at_32"


def _made(sweep: str = "main_results", **changes: Any) -> Dashboard:
    values = {"project": "trial", "entity": None, "cells": CELLS, "scores": {SCORE: "avg@32 on test"}}
    return dashboard(sweep, "Main results", **{**values, "words": ["Table 1.", "Again: x"], **changes})


def _panels(of: Dashboard) -> Iterator[Panel]:
    return (panel for section in of.sections for panel in section.panels)


def test_a_dashboard_shows_scores_curves_and_tables() -> None:
    made = _made()
    assert [section.name for section in made.sections if section.is_open] == [
        *("Scores", "Learning", "Prefixes and lengths", "Entropy and gradients"),
    ]
    assert made.sections[0].panels[:2] == (Words("Table 1.\n\nAgain: x"), Bars("avg@32 on test", SCORE))
    curves = {panel.metric for panel in _panels(made) if isinstance(panel, Lines)}
    assert {"train/reward", "validation/accuracy", "train/entropy", "train/response_length"} <= curves
    assert {"train/prefix_share", "train/grad_norm_imitated", "train/grad_norm_explored"} <= curves
    tables = {panel.name for panel in _panels(made) if isinstance(panel, TableOf)}
    assert tables == {"eval/scores", "eval/responses", "samples"}


def test_rows_look_as_in_the_figures() -> None:
    assert _made().colours == {"Base": "#707070", "Prefix-RFT": "#D55E00", "SFT": "#CC79A7"}


def test_every_curve_is_of_a_metric_that_training_writes() -> None:
    sources = "".join(path.read_text() for path in Path(prefix_rft.__path__[0]).rglob("*.py"))
    for panel in _panels(_made()):
        if isinstance(panel, Lines):
            name = panel.metric.removeprefix("train/").removeprefix("grading/")
            short = name.removeprefix("validation/").removeprefix("time/")
            assert f'"{name}"' in sources or f'"{short}"' in sources, panel.metric


def test_a_workspace_groups_its_sweeps_runs_by_row() -> None:
    spec = workspace(_made(), "lab")._spec["spec"]["section"]
    (runs,) = spec["runSets"]
    (only,) = runs["filters"]["filters"]
    assert (only["key"]["name"], only["op"], only["value"]) == ("tags", "IN", ["main_results"])
    assert runs["grouping"] == [{"section": "config", "name": "row.value.main_results"}]
    assert f"summary:{SCORE}" in runs["runFeed"]["columnOrder"]
    bars, reward = (spec["panelBankConfig"]["sections"][i]["panels"][1 - i]["config"] for i in (0, 1))
    assert (bars["metrics"], bars["groupBy"]) == ([SCORE], "row.value.main_results")
    assert (reward["xAxis"], reward["metrics"]) == ("rollout_step", ["train/reward"])
    assert (reward["groupBy"], reward["groupAgg"], reward["groupArea"]) == (
        *("row.value.main_results", "mean", "minmax"),
    )
    assert set(spec["customRunColors"].values()) == set(_made().colours.values())


def test_a_report_tells_training_from_what_was_measured() -> None:
    grids = [block for block in report([_made()], "lab").blocks if type(block).__name__ == "PanelGrid"]
    names = {grid.runsets[0].name: [type(panel).__name__ for panel in grid.panels] for grid in grids[:2]}
    assert names == {
        "main_results: evaluate": ["BarPlot", "WeavePanelSummaryTable"],
        "main_results: train and base": ["LinePlot"] * 4,
    }
    assert "JobType" in grids[0].runsets[0].filters
    places = [(panel.layout.x, panel.layout.y) for panel in grids[1].panels]
    assert places == [(0, 0), (8, 0), (16, 0), (0, 6)]


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    made = [_made(), _made("schedule")]
    files = write_specifications(made, tmp_path)
    names = ["main_results.workspace.json", "schedule.workspace.json", "report.json"]
    assert [file.name for file in files] == names
    for one, file in zip(made, files[:2], strict=True):
        assert read_workspace(file)._spec == workspace(one, "")._spec
    assert read_report(files[2])._to_model() == report(made, "")._to_model()
    assert len(read_workspace(files[0]).sections) == len(made[0].sections)


def test_the_same_dashboard_is_the_same_file(tmp_path: Path) -> None:
    first, second = (write_specifications([_made()], tmp_path / name) for name in ("one", "two"))
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    assert view_name("schedule") == view_name("schedule") != view_name("main_results")


def test_another_score_is_another_file(tmp_path: Path) -> None:
    (first, *_), (second, *_) = (
        write_specifications([_made(scores={key: "a"})], tmp_path / key[-1]) for key in ("s1", "s2")
    )
    panels = [json.loads(file.read_text())["spec"]["section"]["panelBankConfig"] for file in (first, second)]
    assert panels[0] != panels[1]


def test_a_report_of_many_sweeps_has_a_title_that_wandb_takes() -> None:
    many = [_made(f"a_sweep_with_a_long_name_{i}") for i in range(9)]
    assert report_title(many) == "Prefix-RFT: 9 sweeps"
    assert report_title(many[:1]) == "Prefix-RFT: a_sweep_with_a_long_name_0"


@pytest.mark.parametrize(
    "name", ["analysis.dashboards", "analysis.dashboards_wandb", "analysis.dashboards_server"]
)
def test_a_description_needs_no_wandb(name: str) -> None:
    code = f"import sys, {name}; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
