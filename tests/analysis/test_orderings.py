"""Claims of the papers judged on runs whose order is known."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from analysis.cells import Cell
from analysis.claims import CLAIMS, Claim, claims_for
from analysis.orderings import Finding, findings, findings_table, summary_text
from analysis.published import (
    AIME24,
    AIME25,
    DATA,
    FAMILY,
    PAPER,
    PUBLISHED,
    RE_EVALUATION,
    SCHEDULE,
    WEIGHTING,
    Source,
)
from analysis.render import plain
from analysis.results import load_results
from analysis.style import NAMES


def judged(build, make_verdicts, rates: dict[str, float], seeds: int = 3):
    cells = [
        build.done(method, seed, make_verdicts(rate, method, seed))
        for method, rate in rates.items()
        for seed in range(1 if method == "base" else seeds)
    ]
    found = findings(load_results(build.store, cells))
    return found, {(finding.claim.text, finding.claim.source): finding for finding in found}


def test_verdicts_follow_the_runs_and_not_the_papers(build, make_verdicts):
    rates = {"base": 0.1, "sft": 0.5, "rft": 0.3, "sft_rft": 0.9, "prefix_rft": 0.7}
    _, by = judged(build, make_verdicts, rates)
    verdicts = {key: finding.verdict for key, finding in by.items()}
    assert verdicts["Prefix-RFT > SFT", PAPER] == "appears"
    assert verdicts["RFT > SFT", PAPER] == "reversed"
    assert verdicts["Prefix-RFT > SFT→RFT", PAPER] == "reversed"
    assert verdicts["SFT→RFT > Prefix-RFT", RE_EVALUATION] == "appears"
    assert verdicts["RFT > Base", PAPER] == "appears"
    of_these = [claim for claim in CLAIMS if {claim.higher, claim.lower} <= rates.keys() and not claim.sweep]
    assert len(of_these) == 13
    assert all(verdicts[claim.text, claim.source] != "not tested" for claim in of_these)


def test_the_same_runs_in_the_other_order_turn_the_verdicts(build, make_verdicts):
    rates = {"sft": 0.6, "rft": 0.9, "sft_rft": 0.5, "prefix_rft": 0.2}
    found, by = judged(build, make_verdicts, rates)
    assert by["Prefix-RFT > SFT", PAPER].verdict == "reversed"
    assert by["RFT > SFT", PAPER].verdict == "appears"
    assert by["SFT > Prefix-RFT", RE_EVALUATION].verdict == "appears"
    text = summary_text(found, "avg@4")
    assert text.startswith("Published orderings on avg@4. arXiv 2507.01679, Table 1: 6 of 17 tested; ")
    assert "reversed (Prefix-RFT > SFT, Prefix-RFT > RFT, " in text


def test_equals_stay_undecided_with_their_interval(build, make_verdicts):
    found, by = judged(build, make_verdicts, {"sft_rft": 0.8, "prefix_rft": 0.8})
    finding = by["Prefix-RFT > SFT→RFT", PAPER]
    assert finding.verdict == "undecided"
    low, high = finding.comparison.difference.ci95
    assert low < 0 < high
    assert "1 of 17 tested; 1 undecided (Prefix-RFT > SFT→RFT)." in summary_text(found, "avg@4")


def test_one_seed_leaves_everything_undecided(build, make_verdicts):
    _, by = judged(build, make_verdicts, {"sft": 0.1, "prefix_rft": 0.9}, seeds=1)
    assert by["Prefix-RFT > SFT", PAPER].verdict == "undecided"


def test_what_is_missing_is_said(build, make_verdicts):
    found, by = judged(build, make_verdicts, {"sft": 0.5, "prefix_rft": 0.9})
    assert by["RFT > SFT", PAPER].reason == "RFT is not among the rows"
    assert "Table 1: 1 of 17 tested; 1 appears." in summary_text(found, "avg@4")
    table = plain(findings_table(found, "avg@4"))
    assert "Not tested: 18 published orderings (no row RFT, SFT→RFT, RL + SFT loss, UFT, LUFFY," in table
    assert [row.entries[0].value for row in findings_table(found, "avg@4").rows] == [
        "Prefix-RFT > SFT",
        "SFT > Prefix-RFT",
    ]


def test_the_table_fits_a_terminal(build, make_verdicts):
    found, _ = judged(
        build, make_verdicts, {"sft": 0.5, "rl_sft_loss": 0.7, "sft_rft": 0.6, "prefix_rft": 0.9}
    )
    lines = plain(findings_table(found, "avg@4")).splitlines()
    assert max(map(len, lines[: 2 + 7])) <= 100


def variants(build, make_verdicts, methods: dict[str, tuple[dict, float]], seeds: int = 3) -> list[Cell]:
    return [
        replace(
            build.done(method["name"], seed, make_verdicts(rate, label, seed), method=method), label=label
        )
        for label, (method, rate) in methods.items()
        for seed in range(seeds)
    ]


def of_sweep(build, cells: list[Cell], sweep: str) -> dict[str, Finding]:
    return {
        finding.claim.text: finding for finding in findings(load_results(build.store, cells, sweep=sweep))
    }


def test_variants_of_one_method_are_not_taken_for_the_method(build, make_verdicts):
    methods = {
        "SFT": ({"name": "sft"}, 0.5),
        **{f"keep {keep}": ({"name": "prefix_rft", "clipping": {"keep": keep}}, 0.9) for keep in (0.2, 1.0)},
    }
    found = of_sweep(build, variants(build, make_verdicts, methods), "")
    assert found["Prefix-RFT > SFT"].reason == "Prefix-RFT is not among the rows"


def test_a_control_of_plain_rft_is_not_taken_for_rft(build, make_verdicts):
    methods = {
        "Prefix-RFT": ({"name": "prefix_rft"}, 0.8),
        "update all": ({"name": "prefix_rft", "clipping": {"keep": 1.0}}, 0.5),
        "on-policy clip": ({"name": "rft", "clipping": {"keep": 0.2}}, 1.0),
    }
    found = of_sweep(build, variants(build, make_verdicts, methods), "prefix_weighting")
    assert "Prefix-RFT > RFT" not in found
    assert found["Prefix-RFT > update all"].verdict == "appears"
    assert found["Prefix-RFT > update all"].claim.gap == pytest.approx(6.1)
    assert found["Prefix-RFT > on-policy clip"].verdict == "reversed"
    assert found["Prefix-RFT > DR-PO"].reason == "DR-PO is not among the rows"


@pytest.mark.parametrize(
    ("rates", "verdict"), [((0.8, 0.8), "appears"), ((0.5, 0.8), "reversed"), ((0.77, 0.8), "undecided")]
)
def test_about_as_good_needs_an_interval_within_the_margin(build, make_verdicts, rates, verdict):
    def cells(label: str, fraction: float, rate: float) -> list[Cell]:
        data = {"kind": "chain", "max_prompt_tokens": 16, "max_response_tokens": 32, "fraction": fraction}
        bits = [make_verdicts(rate, seed, questions=200) for seed in range(3)]
        made = [build.done("prefix_rft", seed, bits[seed], data=data) for seed in range(3)]
        return [replace(cell, label=label) for cell in made]

    less, everything = rates
    rows = [*cells("Prefix-RFT, 100%", 1.0, everything), *cells("Prefix-RFT, 10%", 0.1, less)]
    found = of_sweep(build, rows, "data_fraction")
    assert found["Prefix-RFT, 10% ≈ Prefix-RFT, 100%"].verdict == verdict
    assert found["Prefix-RFT, 10% ≈ Prefix-RFT, 100%"].claim.gap == pytest.approx(-0.3)


def test_a_claim_on_many_samples_is_judged_on_the_largest_k(build, make_verdicts):
    # As often right at one sample; the base is right on twice as many questions, but on each half as often.
    few, many = [[1, 1, 1, 1], [0, 0, 0, 0]] * 20, [[1, 1, 0, 0]] * 40
    cells = [build.done("base", 0, few), *(build.done("prefix_rft", seed, many) for seed in (0, 1))]
    found = findings(load_results(build.store, cells, sweep="pass_at_k"))
    by = {finding.claim.source.name: finding for finding in found if finding.claim.lower == "base"}
    assert by["arXiv 2507.01679, Table 7, AIME24"].verdict == "appears"
    assert by["arXiv 2507.01679, Table 7, AIME24"].metric == "pass@2"
    assert by["arXiv 2507.01679, Table 1"].verdict == "undecided"
    table = plain(findings_table(found, "avg@4"))
    assert "Prefix-RFT > Base (pass@2)" in table


def test_every_claim_is_what_its_source_published():
    gaps = {claim: claim.gap for claim in CLAIMS if claim.gap is not None}
    assert all(gap > 0 for claim, gap in gaps.items() if claim.relation == ">")
    assert all(abs(gap) < 1 for claim, gap in gaps.items() if claim.relation == "≈")
    assert {claim.source for claim in CLAIMS} - {claim.source for claim in gaps} == {
        SCHEDULE,
        *(claim.source for claim in CLAIMS if claim.sweep == "entropy_ratio"),
    }
    assert Claim("prefix_rft", "sft", PAPER).gap == pytest.approx(7.7)
    assert Claim("sft_rft", "prefix_rft", RE_EVALUATION).gap == pytest.approx(5.2)
    assert Claim("prefix_rft", "dr_po", WEIGHTING).gap == pytest.approx(18.0)
    assert Claim("cosine", "uniform", SCHEDULE).gap is None


def test_claims_on_a_sweep_name_rows_that_it_has():
    sweeps = pytest.importorskip("experiments.sweeps")
    for claim in CLAIMS:
        if claim.sweep:
            sweep = sweeps.load(claim.sweep)
            varied = sweep.vary.get(sweep.compare, [])
            rows = {*sweep.variants, *map(str, varied), *sweep.vary.get("method", []), "base"}
            names = {NAMES.get(row, row) for row in rows}
            assert {NAMES.get(claim.higher, claim.higher), NAMES.get(claim.lower, claim.lower)} <= names


def test_a_sweep_is_judged_on_its_own_claims_and_on_the_methods_that_stand_in_it():
    own = claims_for("schedule", ("cosine", "uniform"))
    assert [claim.text for claim in own] == ["cosine > uniform"]
    methods = claims_for("model_family", ("RFT", "SFT→RFT", "Prefix-RFT"))
    assert {claim.text for claim in methods} == {
        "Prefix-RFT > RFT",
        "Prefix-RFT > SFT→RFT",
        "SFT→RFT > RFT",
        "SFT→RFT > Prefix-RFT",
    }


IN_THE_CSV: dict[Source, tuple[str, str, str, str]] = {
    PAPER: (
        "Prefix-RFT arXiv 2507.01679 Table 1 (via a public note)",
        "Qwen2.5-Math-7B",
        "Avg6",
        "mean of 6",
    ),
    RE_EVALUATION: ("SFT-then-RL arXiv 2604.23747 Table 1/5", "Qwen2.5-Math-7B", "Avg6", "mean of 6"),
    WEIGHTING: (
        "Prefix-RFT Table 8 (Appendix A.3) (via a public note)",
        "Qwen2.5-Math-7B",
        "Avg6",
        "mean of 6",
    ),
    DATA: (
        "Prefix-RFT 1.5B table + data/generator ablation (via a public note)",
        "Qwen2.5-Math-1.5B",
        "Avg6",
        "mean of 6",
    ),
    FAMILY: (
        "ZeroYuHuang/prefix_rft@5f5d2a1 recipe/prefix_rft_analysis/plot/_plot_extend_model.py "
        "(hard-coded plot data)",
        "LLaMA-3.1-8B",
        "Avg6",
        "mean of 6",
    ),
    AIME24: ("Prefix-RFT Table 7 (via a public note)", "Qwen2.5-Math-7B", "AIME24", "pass@2048"),
    AIME25: ("Prefix-RFT Table 7 (via a public note)", "Qwen2.5-Math-7B", "AIME25", "pass@2048"),
}
"""Source, model, benchmark and metric of our sources in the table of published results."""
CALLED = {
    "base": {"Base"},
    "sft": {"SFT", "SFT (corrected, verl)"},
    "rft": {"RFT"},
    "sft_rft": {"SFT+RFT", "SFT->RL (corrected)"},
    "rl_sft_loss": {"RL w/ SFT Loss"},
    "uft": {"UFT"},
    "luffy": {"LUFFY"},
    "relift": {"ReLIFT"},
    "prefix_rft": {"Prefix-RFT", "Prefix-RFT (reported)", "Prefix-RFT (ours)"},
    "dr_po": {"DR-PO"},
    "update all": {"Update All prefix tokens"},
    "freeze prefix": {"Freeze Prefix"},
    "static weight": {"Static Weight (0.001, UFT-like)"},
    "on-policy clip": {"RFT + On-policy Clip"},
    "Prefix-RFT, 100%": {"Prefix-RFT (100% demos, R1)"},
    "Prefix-RFT, 10%": {"Prefix-RFT 10% demos (4.5k)"},
    "Prefix-RFT, 1%": {"Prefix-RFT 1% demos (0.45k)"},
    "R1-Distill-32B": {"Prefix-RFT demo generator R1-Distill-32B"},
    "R1-Distill-1.5B": {"Prefix-RFT demo generator R1-Distill-1.5B"},
}


def test_published_numbers_are_those_of_the_shared_table(shared_data):
    rows = list(csv.DictReader((shared_data / "published_results.csv").open()))
    for known in PUBLISHED:
        where = IN_THE_CSV[known.source]
        same = {
            float(row["score"])
            for row in rows
            if (row["source"].replace("RFT Table 1 (", "RFT arXiv 2507.01679 Table 1 ("), row["model"])
            == where[:2]
            and (row["benchmark"], row["metric"]) == where[2:]
            and row["method"] in CALLED[known.row]
        }
        assert same == {known.value}, known
