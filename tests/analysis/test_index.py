"""The index of all sweeps, and a sweep in one line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.cells import cell_of
from analysis.index import IndexEntry, write_index
from analysis.outcome import outcome
from analysis.results import load_results


def test_a_clear_winner(build):
    right, half = [[1, 1, 1, 1]] * 40, [[1, 1, 0, 0]] * 40
    cells = [build.done("sft", seed, half) for seed in (0, 1)]
    cells += [build.done("rft", seed, right) for seed in (0, 1)]
    assert outcome(load_results(build.store, cells)) == "RFT is highest (avg@4 100.0%), ahead of the other."


def test_a_tie_is_undecided_and_names_at_most_three(build):
    bits = [[1, 1, 0, 0]] * 40
    methods = ("sft", "rft", "sft_rft", "luffy", "prefix_rft")
    cells = [build.done(method, seed, bits) for method in methods for seed in (0, 1)]
    assert outcome(load_results(build.store, cells)) == (
        "SFT is highest (avg@4 50.0%); undecided against RFT, SFT→RFT, LUFFY and 1 more."
    )


def test_what_is_missing_is_said(build, make_verdicts):
    done = build.done("sft", 0, make_verdicts(0.5))
    new = cell_of(build.new("rft", 0))
    assert outcome(load_results(build.store, [done, new])).endswith(
        "the only row; 1 of 2 runs without scores."
    )
    assert outcome(load_results(build.store, [new])) == "Nothing to compare yet: 1 of 1 runs without scores."


def test_base_models_are_judged_together(build):
    rows = {"keep 0.2": ("prefix_rft", (0.9, 0.7)), "none": ("rft", (0.3, 0.2))}
    text = outcome(load_results(build.store, build.on_bases(rows)))
    assert text.startswith("keep 0.2 is highest (avg@4 ")
    assert text.endswith("ahead of the other, over 2 base models.")


def test_the_page_links_every_sweep_and_counts_shared_runs_once(build, tmp_path):
    right, half = np.ones((40, 4), bool), [[1, 1, 0, 0]] * 40
    cells = [build.done("sft", seed, half) for seed in (0, 1)]
    cells += [build.done("rft", seed, right) for seed in (0, 1)]
    entries = [
        IndexEntry("main_results", "Main results", "Table 1", load_results(build.store, cells)),
        IndexEntry("baseline_choice", "Baselines | all", "Section 3", load_results(build.store, cells[2:])),
    ]
    path = write_index(tmp_path / "report", entries, "2026-11-21")
    page = path.read_text()
    assert path.name == "index.md"
    assert "4 of 4 distinct runs evaluated, for 6 places in 2 tables;" in page
    assert (
        "| [Main results](main_results/report.md) | RFT is highest (avg@4 100.0%), ahead of the other. | 4/4 |"
        in page
    )
    assert (
        "| [Baselines \\| all](baseline_choice/report.md) | RFT is highest (avg@4 100.0%), the only row. | 2/2 |"
        in page
    )


def test_one_seed_decides_nothing(build, make_verdicts):
    cells = [build.done(method, 0, make_verdicts(rate)) for method, rate in (("sft", 0.1), ("rft", 0.9))]
    assert "undecided against SFT" in outcome(load_results(build.store, cells))


def test_a_run_in_two_rows_counts_once(build, make_verdicts):
    cell = build.done("rft", 0, make_verdicts(0.5))
    twice = [cell, replace(cell, label="the same"), cell_of(build.new("sft", 0))]
    assert outcome(load_results(build.store, twice)).endswith("; 1 of 2 runs without scores.")
