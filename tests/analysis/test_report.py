"""The report folder: complete, deterministic, honest about what is missing."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from analysis.cells import cell_of
from analysis.design import design_note
from analysis.report import published_table, write_report
from analysis.results import frames, load_results
from prefix_rft.runs.atomic import write_json
from prefix_rft.runs.state import StateWriter


@pytest.fixture
def cells(build, make_verdicts):
    made = [build.done("base", 0, make_verdicts(0.1, "base"))]
    for method, rate in {"sft": 0.5, "rft": 0.1, "prefix_rft": 0.8}.items():
        for seed in (0, 1):
            cell = build.done(method, seed, make_verdicts(rate, method, seed))
            rewards = [None] * 6 if method == "sft" else [0.1 * step for step in range(6)]
            build.curve(cell.run_id, rewards, {3: 0.3, 6: rate})
            made.append(cell)
    failed = build.new("rft", 2)
    StateWriter(failed.path).failed(RuntimeError("out of memory"))
    return [*made, cell_of(failed)]


def test_the_folder_holds_everything_and_the_page_links_to_it(build, cells, tmp_path):
    written = write_report(build.store, tmp_path / "report", cells, date="2026-11-21", title="Main table")
    names = {str(path.relative_to(tmp_path / "report")) for path in written}
    figures = {f"figures/{name}.{kind}" for name in ("learning_curves", "scores") for kind in ("png", "pdf")}
    assert names == figures | {"report.md", "table.md", "table.csv", "table.tex", "scores.csv", "curves.csv"}
    assert all(path.stat().st_size > 0 for path in written)
    page = written[0].read_text()
    linked = set(re.findall(r"\]\((figures/[^)]+)\)", page))
    assert linked == {name for name in figures if name.endswith(".png")}
    for expected in (
        "# Main table\n\n2026-11-21. 7 of 8 runs evaluated on the test split, 60 questions each.",
        "The headline depends on the design of the task.",
        "| RFT | 2/3 | ",
        "Protocol avg4",
        "failed: RuntimeError",
        "Code: 7 runs at 0123456789ab; 1 run at not recorded.",
    ):
        assert expected in page


def test_the_same_runs_and_date_give_the_same_bytes(build, cells, tmp_path):
    one = write_report(build.store, tmp_path / "one", cells, date="2026-11-21")
    other = write_report(build.store, tmp_path / "other", cells, date="2026-11-21")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_a_report_without_a_single_score_says_so(build, tmp_path):
    cells = [cell_of(build.new("rft", 0))]
    (page, *others) = write_report(build.store, tmp_path / "report", cells, date="2026-11-21")
    assert "0 of 1 runs evaluated on the test split." in page.read_text()
    assert "| RFT | 0/1 | not started | - |" in page.read_text()
    assert not [path for path in others if path.suffix in (".png", ".pdf")]


def test_scores_and_curves_are_tidy(build, cells, tmp_path):
    write_report(build.store, tmp_path / "report", cells, date="2026-11-21")
    scores = pd.read_csv(tmp_path / "report" / "scores.csv")
    assert list(scores.columns[:7]) == ["label", "method", "seed", "run_id", "split", "protocol", "metric"]
    means = scores[scores["metric"] == "avg@4"].groupby("label")["value"].mean()
    assert means["Prefix-RFT"] > means["SFT"] > means["RFT"]
    curves = pd.read_csv(tmp_path / "report" / "curves.csv")
    assert len(curves) == 6 * (6 + 2)
    assert curves.loc[curves["label"] == "SFT", "reward"].isna().all()


def test_frames_of_a_whole_store_hold_every_run(build, cells):
    whole = frames(build.store)
    assert set(whole.runs["run_id"]) == {cell.run_id for cell in cells}
    assert whole.runs.set_index("run_id")["standing"][cells[-1].run_id] == "failed: RuntimeError"
    assert whole.scores["run_id"].nunique() == 7


def test_frames_of_an_empty_store_have_their_columns(build):
    empty = frames(build.store)
    assert empty.runs.empty
    assert {"step", "reward", "validation/accuracy"} <= set(empty.curves.columns)


def test_uncommitted_changes_and_unknown_commits_are_said(build, cells, tmp_path):
    dirty = {"commit": "f" * 40, "dirty": "abc", "reason": None}
    unknown = {"commit": None, "dirty": None, "reason": "git is not installed"}
    for cell, source in zip(cells, (dirty, unknown), strict=False):
        write_json(build.store.path(cell.run_id) / "provenance.json", {"source": source, "earlier": []})
    (page, *_) = write_report(build.store, tmp_path / "report", cells, date="2026-11-21")
    text = page.read_text()
    assert (
        "1 run at ffffffffffff with uncommitted changes; 1 run at unknown commit (git is not installed)"
        in text
    )


def test_published_numbers_stand_beside_ours(build, cells):
    table = published_table(load_results(build.store, cells))
    rows = {row.entries[0].value: [entry.value for entry in row.entries[1:]] for row in table.rows}
    assert rows["SFT→RFT"] == [None, 48.2, 57.0]
    assert rows["Prefix-RFT"][1:] == [51.8, 51.8]
    assert rows["Prefix-RFT"][0] == pytest.approx(0.8, abs=0.05)
    assert "published, Qwen2.5-Math-7B average of six" in table.notes[0]


def test_the_note_on_the_task_follows_its_settings(build, make_verdicts):
    model = {"kind": "tiny", "habit_stepwise": 0.3}
    data = {
        "kind": "chain",
        "max_prompt_tokens": 16,
        "max_response_tokens": 32,
        "teacher": "slips",
        "slip_rate": 0.25,
    }
    cell = build.done("sft", 0, make_verdicts(0.5), model=model, data=data)
    note = design_note(load_results(build.store, [cell]))
    assert "a habit that lets it show now and then" in note
    assert "slips at random in 25% of the demonstrations" in note
    assert "systematically" not in note
    assert "ceiling" not in note
    assert "demonstrations may add nothing" in note


def test_other_data_have_no_note_on_the_task(build, make_verdicts, tmp_path):
    (tmp_path / "train.jsonl").write_text('{"id": "1", "problem": "1+1", "answer": "2", "solution": "2"}\n')
    data = {"kind": "jsonl", "path": str(tmp_path / "train.jsonl")}
    cell = build.done(
        "rft", 0, make_verdicts(0.5), data=data | {"max_response_tokens": 64}, model={"kind": "scratch"}
    )
    assert design_note(load_results(build.store, [cell])) is None
