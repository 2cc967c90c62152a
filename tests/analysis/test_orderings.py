"""Claims of the papers judged on runs whose order is known."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from analysis.orderings import CLAIMS, Claim, findings, findings_table, summary_text
from analysis.published import PAPER, PUBLISHED, RE_EVALUATION
from analysis.render import plain
from analysis.results import load_results


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
    assert "not tested" not in verdicts.values()


def test_the_same_runs_in_the_other_order_turn_the_verdicts(build, make_verdicts):
    rates = {"sft": 0.6, "rft": 0.9, "sft_rft": 0.5, "prefix_rft": 0.2}
    found, by = judged(build, make_verdicts, rates)
    assert by["Prefix-RFT > SFT", PAPER].verdict == "reversed"
    assert by["RFT > SFT", PAPER].verdict == "appears"
    assert by["SFT > Prefix-RFT", RE_EVALUATION].verdict == "appears"
    assert "The other way round: Prefix-RFT > SFT (-" in summary_text(found, "avg@4")


def test_equals_stay_undecided_with_their_interval(build, make_verdicts):
    found, by = judged(build, make_verdicts, {"sft_rft": 0.8, "prefix_rft": 0.8})
    finding = by["Prefix-RFT > SFT→RFT", PAPER]
    assert finding.verdict == "undecided"
    low, high = finding.comparison.difference.ci95
    assert low < 0 < high
    assert "Undecided, no difference shown either way: Prefix-RFT > SFT→RFT (" in summary_text(found, "avg@4")


def test_one_seed_leaves_everything_undecided(build, make_verdicts):
    _, by = judged(build, make_verdicts, {"sft": 0.1, "prefix_rft": 0.9}, seeds=1)
    assert by["Prefix-RFT > SFT", PAPER].verdict == "undecided"


def test_what_is_missing_is_said(build, make_verdicts):
    found, by = judged(build, make_verdicts, {"sft": 0.5, "prefix_rft": 0.9})
    assert by["RFT > SFT", PAPER].reason == "RFT is not among the runs"
    text = summary_text(found, "avg@4")
    assert text.startswith(
        f"Orderings published in {PAPER}, 1 of 10 tested here on avg@4. Appear: Prefix-RFT > SFT (+"
    )
    assert "not tested: RFT is not among the runs" in plain(findings_table(found, "avg@4"))


def test_variants_of_one_method_are_not_taken_for_the_method(build, make_verdicts):
    cells = [build.done("sft", seed, make_verdicts(0.5, seed)) for seed in (0, 1)]
    for keep in (0.2, 1.0):
        method = {"name": "prefix_rft", "clipping": {"keep": keep}}
        cells += [
            replace(
                build.done("prefix_rft", seed, make_verdicts(0.9, keep, seed), method=method),
                label=f"keep {keep}",
            )
            for seed in (0, 1)
        ]
    found = findings(load_results(build.store, cells))
    reasons = {finding.claim.text: finding.reason for finding in found}
    assert reasons["Prefix-RFT > SFT"] == "Prefix-RFT stands in 2 rows (keep 0.2, keep 1.0)"


def test_every_claim_is_what_its_source_published():
    assert all(claim.gap > 0 for claim in CLAIMS)
    assert {claim.source for claim in CLAIMS} == {row.source for row in PUBLISHED}
    assert Claim("prefix_rft", "sft", PAPER).gap == pytest.approx(7.7)
    assert Claim("sft_rft", "prefix_rft", RE_EVALUATION).gap == pytest.approx(5.2)


def test_a_claim_without_a_published_number_is_an_error():
    with pytest.raises(ValueError, match="no average for rft or sft"):
        _ = Claim("rft", "sft", RE_EVALUATION).gap


def test_published_numbers_are_those_of_the_shared_table(shared_data):
    rows = list(csv.DictReader((shared_data / "published_results.csv").open()))
    average = {
        (row["method"], row["source"]): row["score"]
        for row in rows
        if (row["model"], row["benchmark"]) == ("Qwen2.5-Math-7B", "Avg6")
    }
    paper, again = (
        "Prefix-RFT arXiv 2507.01679 Table 1 (via a public note)",
        "SFT-then-RL arXiv 2604.23747 Table 1/5",
    )
    names = {
        PAPER: (
            paper,
            {"base": "Base", "sft": "SFT", "rft": "RFT", "sft_rft": "SFT+RFT", "prefix_rft": "Prefix-RFT"},
        ),
        RE_EVALUATION: (
            again,
            {
                "sft": "SFT (corrected, verl)",
                "sft_rft": "SFT->RL (corrected)",
                "prefix_rft": "Prefix-RFT (reported)",
            },
        ),
    }
    for row in PUBLISHED:
        source, method = names[row.source]
        assert row.average == float(average[method[row.method], source])
