"""Tables of a sweep over two base models: within each, and over both."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from analysis.comparisons import family
from analysis.over_bases import pooled_leader, pooled_table
from analysis.render import entry_text, markdown
from analysis.results import load_results
from analysis.tables import main_table


def shown(table, row: str) -> dict[str, str]:
    (found,) = [line for line in table.rows if line.entries[0].value == row]
    return {
        column.key: entry_text(entry, column)
        for entry, column in zip(found.entries, table.columns, strict=True)
    }


def test_one_base_model_has_no_table_over_several(build, make_verdicts):
    results = load_results(build.store, [build.done("sft", 0, make_verdicts(0.5))])
    assert (results.bases, results.variants, pooled_table(results)) == (("",), ("SFT",), None)


def test_a_row_that_is_better_on_both_is_bold(build):
    rows = {"keep 0.2": ("prefix_rft", (0.9, 0.7)), "none": ("rft", (0.3, 0.2))}
    results = load_results(build.store, build.on_bases(rows))
    table = pooled_table(results)
    best, other = table.rows[0].entries, shown(table, "none")
    assert best[2].best
    assert (shown(table, "keep 0.2")["to_best"], shown(table, "keep 0.2")["runs"]) == ("best", "6")
    each = [float(other[f"to_best_base_seed={base}"]) for base in (0, 2)]
    assert float(other["to_best"]) == pytest.approx(sum(each) / 2, abs=0.11)
    low, high = map(float, re.fullmatch(r"(.+) to (.+)", other["interval"]).groups())
    assert low < float(other["to_best"]) < high < 0


def test_a_row_that_loses_on_one_base_model_is_not_ahead_however_clear_the_mean(build):
    rows = {"a": ("prefix_rft", (0.95, 0.4)), "b": ("rft", (0.1, 0.6))}
    results = load_results(build.store, build.on_bases(rows))
    test = family(results, [("a", "b")], "avg@4")["a", "b"]
    assert test.p_holm < 0.05
    assert not test.decided
    assert test.describe().endswith("base models disagree")
    assert not pooled_leader(results).supported
    assert "base models disagree" in pooled_table(results).notes[-1]


def test_the_mean_counts_base_models_alike(build):
    half, right = [[1, 1, 0, 0]] * 30, [[1, 1, 1, 1]] * 30
    cells = [
        replace(
            build.done(method, seed, bits, model={"kind": "tiny", "base_seed": base}),
            label=f"{name}, base_seed={base}",
        )
        for name, method, of_bases in (("a", "rft", (right, half)), ("b", "sft", (half, half)))
        for base, bits in zip((0, 2), of_bases, strict=True)
        for seed in (0, 1)
    ]
    table = pooled_table(load_results(build.store, cells))
    assert (shown(table, "a")["avg@4"], shown(table, "b")["avg@4"]) == ("75.0 ± 0.0", "50.0 ± 0.0")
    each = {base: shown(table, "b")[f"to_best_base_seed={base}"] for base in (0, 2)}
    assert each == {0: "-50.0", 2: "0.0"}


def test_the_main_table_compares_within_a_base_model(build):
    rows = {"a": ("prefix_rft", (0.9, 0.5)), "b": ("rft", (0.5, 0.1))}
    table = main_table(load_results(build.store, build.on_bases(rows)))
    bold = {row.entries[0].value for row in table.rows if row.entries[2].best}
    assert bold == {"a, base_seed=0", "a, base_seed=2"}
    assert "on the same base model" in table.notes[1]


def test_a_variant_without_scores_on_a_base_model_has_no_mean(build):
    cells = build.on_bases({"a": ("prefix_rft", (0.9, 0.5)), "b": ("rft", (0.5, 0.1))})
    for cell in cells:
        if cell.label == "b, base_seed=2":
            (build.store.path(cell.run_id) / "eval").rename(build.store.path(cell.run_id) / "moved")
    table = pooled_table(load_results(build.store, cells))
    assert "| b | - | no scores on base\\_seed=2 | - |" in markdown(table)
