"""The report folder: complete, deterministic, honest about what is missing."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest

from analysis.cells import cell_of
from analysis.published_table import published_table
from analysis.report import write_report, write_results
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
    drawn = {path.stem for path in written if path.suffix == ".png"}
    assert drawn >= {"learning_curves", "scores", "differences", "problems", "solved_sets"}
    figures = {f"figures/{name}.{kind}" for name in drawn for kind in ("png", "pdf", "svg")}
    tables = {
        f"{name}.{kind}" for name in ("table", "orderings", "published") for kind in ("md", "csv", "tex")
    }
    texts = {"report.md", "index.html", "scores.csv", "curves.csv"} | tables
    assert names == figures | texts
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
    assert rows["UFT"] == [None, 44.2, None]
    assert rows["Prefix-RFT"][1:] == [51.8, 51.8]
    assert rows["Prefix-RFT"][0] == pytest.approx(0.8, abs=0.05)
    assert "Qwen2.5-Math-7B, average of six" in table.notes[0]


def test_an_ablation_stands_beside_its_own_published_table(build, make_verdicts):
    rates = {"Prefix-RFT": 0.8, "update all": 0.5}
    keeps = {"Prefix-RFT": 0.2, "update all": 1.0}
    cells = [
        replace(
            build.done(
                "prefix_rft",
                seed,
                make_verdicts(rate, label, seed),
                method={"name": "prefix_rft", "clipping": {"keep": keeps[label]}},
            ),
            label=label,
        )
        for label, rate in rates.items()
        for seed in (0, 1)
    ]
    table = published_table(load_results(build.store, cells, sweep="prefix_weighting"))
    assert [column.title for column in table.columns[2:]] == ["arXiv 2507.01679, Table 8"]
    assert [(row.entries[0].value, row.entries[2].value) for row in table.rows] == [
        ("Prefix-RFT", 51.8),
        ("update all", 45.7),
    ]
    assert published_table(load_results(build.store, cells, sweep="baseline_choice")) is None


def test_what_is_reproduced_and_a_note_stand_below_the_heading(build, cells, tmp_path):
    results = load_results(build.store, cells)
    (page, *_) = write_results(
        results, tmp_path, date="2026-11-21", title="T", reproduces="Table 1", note="Half the seeds."
    ).files
    assert page.read_text().startswith("# T\n\n2026-11-21. 7 of 8 runs evaluated on the test split")
    assert "\n\nReproduces: Table 1.\n\nHalf the seeds.\n\n## Scores" in page.read_text()


def test_figures_of_an_earlier_report_do_not_stay(build, cells, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "diagnostics_gradients.png").write_bytes(b"old")
    write_report(build.store, tmp_path, cells, date="2026-11-21")
    assert not (tmp_path / "figures" / "diagnostics_gradients.png").exists()


def test_several_base_models_get_a_table_of_their_own(build, tmp_path):
    cells = build.on_bases({"Prefix-RFT": ("prefix_rft", (0.8, 0.7)), "RFT": ("rft", (0.2, 0.1))})
    written = write_report(build.store, tmp_path, cells, date="2026-11-21")
    names = {path.name for path in written}
    assert {"over_base_models.md", "over_base_models.csv", "over_base_models.tex"} <= names
    page = written[0].read_text()
    assert "## Over the base models" in page
    assert "The 2 base models were taught the skill first" in page


@pytest.mark.slow
def test_every_table_of_a_report_compiles(build, cells, tmp_path, pdflatex):
    results = load_results(build.store, cells, sweep="main_results")
    write_results(results, tmp_path, date="2026-11-21", title="Main table: 5% & more")
    names = sorted(path.stem for path in tmp_path.glob("*.tex"))
    assert names == ["orderings", "published", "table"]
    said = pdflatex(tmp_path, names)
    assert "Overfull" not in said
    assert "Missing character" not in said
