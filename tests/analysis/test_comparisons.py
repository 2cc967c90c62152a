"""Paired tests between rows: which seeds are paired, from which side, when nothing is claimed."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.comparisons import family, p_text, points
from analysis.results import load_results


def test_difference_is_over_the_seeds_that_both_rows_have(build, make_verdicts):
    high, low = np.ones((30, 4), bool), np.zeros((30, 4), bool)
    cells = [build.done("sft", seed, high if seed < 2 else low) for seed in (0, 1, 2)]
    cells += [build.done("rft", seed, low) for seed in (0, 1)]
    test = family(load_results(build.store, cells), [("SFT", "RFT")], "avg@4")["SFT", "RFT"]
    assert (test.difference.value, test.difference.seeds) == (1.0, 2)


def test_base_stands_against_every_seed(build):
    cells = [build.done("base", 0, np.zeros((30, 4), bool))]
    cells += [build.done("sft", seed, np.ones((30, 4), bool)) for seed in (3, 5)]
    test = family(load_results(build.store, cells), [("SFT", "Base")], "avg@4")["SFT", "Base"]
    assert (test.difference.value, test.difference.seeds, test.decided) == (1.0, 2, True)


def test_rows_without_a_common_seed_are_not_compared(build, make_verdicts):
    cells = [build.done("sft", 0, make_verdicts(0.5, 1)), build.done("rft", 1, make_verdicts(0.5, 2))]
    assert family(load_results(build.store, cells), [("SFT", "RFT")], "avg@4") == {}


def test_one_seed_decides_nothing_however_large_the_difference(build):
    cells = [build.done("sft", 0, np.ones((30, 4), bool)), build.done("rft", 0, np.zeros((30, 4), bool))]
    test = family(load_results(build.store, cells), [("SFT", "RFT")], "avg@4")["SFT", "RFT"]
    assert test.p_holm < 0.01
    assert not test.decided
    assert "one training seed only" in test.describe()


def test_both_sides_of_a_pair_see_the_same_interval(build, make_verdicts):
    cells = [
        build.done(method, seed, make_verdicts(0.5, method, seed))
        for method in ("sft", "rft")
        for seed in (0, 1)
    ]
    results = load_results(build.store, cells)
    one = family(results, [("SFT", "RFT")], "avg@4")["SFT", "RFT"]
    other = family(results, [("RFT", "SFT")], "avg@4")["RFT", "SFT"]
    assert other.flipped() == one
    assert other.difference.ci95 == (-one.difference.ci95[1], -one.difference.ci95[0])


def test_holm_corrects_over_the_whole_family(build, make_verdicts):
    cells = [
        build.done(method, seed, make_verdicts(rate, method, seed))
        for method, rate in {"sft": 0.5, "rft": 0.52, "prefix_rft": 0.55}.items()
        for seed in (0, 1)
    ]
    results = load_results(build.store, cells)
    pairs = [("SFT", "RFT"), ("SFT", "Prefix-RFT"), ("RFT", "Prefix-RFT")]
    together = family(results, pairs, "avg@4")
    smallest = min(together, key=lambda pair: together[pair].difference.p_value)
    alone = family(results, [smallest], "avg@4")[smallest]
    assert together[smallest].p_holm == pytest.approx(min(1.0, 3 * alone.p_holm))


@pytest.mark.parametrize(
    ("share", "shown"), [(0.123, "+12.3"), (-0.05, "-5.0"), (-0.0001, "0.0"), (0.0, "0.0")]
)
def test_points_are_signed_unless_they_round_to_zero(share, shown):
    assert points(share) == shown


def test_p_is_never_shown_as_zero():
    assert (p_text(0.0002), p_text(0.04567)) == ("p < 0.001", "p = 0.046")
