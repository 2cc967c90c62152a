"""Every run with its errors, every pair of rows with its test."""

from __future__ import annotations

import pytest

from analysis.pairs import pair_table, run_table
from analysis.results import load_results

HALF = [[1, 1, 0, 0]] * 60
ALL = [[1, 1, 1, 1]] * 60


def columns(table, *keys):
    places = [[column.key for column in table.columns].index(key) for key in keys]
    return [tuple(row.entries[place].value for place in places) for row in table.rows]


def test_a_line_for_each_run_with_its_own_score(build, make_verdicts):
    cells = [
        build.done("base", 0, HALF),
        build.done("sft", 0, ALL),
        build.done("sft", 1, make_verdicts(0.5, "x")),
    ]
    found = columns(run_table(load_results(build.store, cells)), "label", "seed", "score", "se_questions")
    assert found[0] == ("Base", None, 0.5, pytest.approx(0, abs=1e-12))
    assert found[1][:3] == ("SFT", "0", 1.0)
    assert found[2][2] == pytest.approx(make_verdicts(0.5, "x").mean())


def test_every_pair_once_with_the_better_row_first_and_the_greatest_difference_on_top(build, make_verdicts):
    rates = {"sft": 0.2, "rft": 0.2, "prefix_rft": 0.9}
    cells = [
        build.done(method, seed, make_verdicts(rate, method, seed))
        for method, rate in rates.items()
        for seed in range(3)
    ]
    found = columns(
        pair_table(load_results(build.store, cells)), "pair", "difference", "p", "p_holm", "ahead"
    )
    assert len(found) == 3
    assert {pair[0] for pair in found[:2]} == {"Prefix-RFT against SFT", "Prefix-RFT against RFT"}
    assert [pair[4] for pair in found] == ["Prefix-RFT", "Prefix-RFT", "undecided"]
    assert [pair[1] for pair in found] == sorted((pair[1] for pair in found), reverse=True)
    assert all(pair[1] >= 0 and pair[3] >= pair[2] for pair in found)


def test_one_seed_decides_nothing(build):
    found = columns(
        pair_table(load_results(build.store, [build.done("sft", 0, HALF), build.done("rft", 0, ALL)])),
        "ahead",
    )
    assert found == [("undecided",)]


def test_without_scores_both_tables_say_so(build):
    results = load_results(build.store, [build.done("sft", 0, HALF)])
    assert pair_table(results).notes == ("No two rows are evaluated yet.",)
    cell = build.done("rft", 0, HALF)
    for folder in (build.store.path(cell.run_id) / "eval").iterdir():
        folder.rename(build.store.path(cell.run_id) / "gone")
    assert run_table(load_results(build.store, [cell])).notes == ("No run is evaluated yet.",)
