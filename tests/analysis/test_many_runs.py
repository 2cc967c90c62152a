"""What a report does for each run, counted, and what a page of very many runs leaves out."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import results as results_module
from analysis.drawing import _of_runs
from analysis.page import runs as page_runs
from analysis.page.text import _shown, script_json
from analysis.report import write_report
from analysis.results import load_results

leaves = st.none() | st.integers() | st.text(st.sampled_from('ab<>&\u2028\u202e\x1b\n\r\té\\"u'))
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


@pytest.fixture
def cells(build: Any, make_verdicts: Any) -> list[Any]:
    return [build.done("rft", seed, make_verdicts(0.5, seed)) for seed in range(4)]


def test_a_report_reads_every_run_once(
    build: Any, cells: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()

    def counted(store: Any, run_id: str, parts: Any = None) -> Any:
        read[run_id] += 1
        return original(store, run_id, parts)

    original = results_module.read_run
    monkeypatch.setattr(results_module, "read_run", counted)
    monkeypatch.setattr(page_runs, "read_run", counted)
    write_report(build.store, tmp_path / "report", cells, date="2026-01-01")
    assert read == {cell.run_id: 1 for cell in cells}


def test_results_keep_no_metrics_row_by_row(build: Any, cells: list[Any]) -> None:
    build.curve(cells[0].run_id, [0.1, 0.2], {})
    found = load_results(build.store, cells)
    assert all(record.metrics == () for record in found.records.values())
    assert found.frames.curves["reward"].tolist() == [0.1, 0.2]


def test_the_cells_are_looked_through_once_for_all_rows(build: Any, cells: list[Any]) -> None:
    found = load_results(build.store, cells)
    assert found.of_label(found.labels[0]) is found.of_label(found.labels[0])
    assert found.of_label("no such row") == ()


def test_a_page_of_many_runs_shows_some_in_full_and_says_so_of_the_others(
    build: Any, cells: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_runs, "MOST_IN_FULL", 2)
    unfinished = build.new("rft", 9)
    place = cells[0].__class__(unfinished.id, "rft", 9, cells[0].label)
    write_report(build.store, tmp_path / "report", [*cells, place], date="2026-01-01")
    page = (tmp_path / "report" / "index.html").read_text()
    shown = page.split('<script type="application/json"')[1].partition(">")[2].partition("</script>")[0]
    runs = json.loads(shown)["runs"]
    # What is not done comes first.
    assert [run_id for run_id, run in runs.items() if run["events"]] == [cells[0].run_id, unfinished.id]
    left_out = [run["unread"] for run in runs.values() if run["state"] is None]
    assert len(left_out) == 3
    assert all("this one is not among them" in why for (why,) in left_out)
    assert all(run["scores"] for run_id, run in runs.items() if run_id != unfinished.id)


@given(values)
def test_json_for_a_page_is_what_it_was_before_it_was_made_in_pieces(value: Any) -> None:
    text = script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == json.loads(json.dumps(_shown(value)))


def test_curves_of_runs_are_taken_apart_in_their_order() -> None:
    rows = pd.DataFrame(
        {"run_id": ["b", "a", "b", "c", "a"], "step": [2, 1, 1, 1, 2], "reward": [0.2, 0.3, 0.1, np.nan, 0.4]}
    )
    found = [(step.tolist(), value.tolist()) for step, value in _of_runs(rows, "reward")]
    assert found == [([1.0, 2.0], [0.1, 0.2]), ([1.0, 2.0], [0.3, 0.4])]
    assert _of_runs(rows.iloc[3:4], "reward") == []
