"""Ablations as differences: where the dots, intervals and published marks are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.comparisons import family
from analysis.figure_differences import (
    COLUMNS,
    difference_frame,
    difference_pictures,
    differences,
    reference_row,
)
from analysis.published import PAPER, RE_EVALUATION, number
from analysis.results import load_results


def frame(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


def relabelled(build, make_verdicts, rates: dict[str, tuple[str, float]], seeds: int = 2, sweep: str = ""):
    cells = []
    for label, (method, rate) in rates.items():
        for seed in range(seeds):
            changes = (
                {"method": {"name": method, "clip_prefix": label == "b"}} if method == "prefix_rft" else {}
            )
            cell = build.done(method, seed, make_verdicts(rate, label, seed), **changes)
            cells.append(type(cell)(cell.run_id, method, seed, label))
    return load_results(build.store, cells, sweep=sweep)


def test_rows_stand_from_the_top_with_intervals_and_a_zero_line():
    (axes,) = differences(
        frame(
            ("a", "sft", -3.0, -5.0, -1.0, True, 3, {}, {}),
            ("b", "rft", 0.5, -1.0, 2.0, False, 3, {}, {PAPER: 4.0}),
        ),
        "points",
    ).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["b", "a"]
    spans = [collection.get_segments()[0].tolist() for collection in axes.collections]
    assert spans == [[[-5, 1], [-1, 1]], [[-1, 0], [2, 0]]]
    assert list(axes.lines[0].get_xdata()) == [0, 0]
    assert [text.get_text() for text in axes.texts] == ["\N{MINUS SIGN}3.0*", "+0.5"]


def test_published_differences_are_hollow_and_a_source_has_one_mark():
    known = ({PAPER: 4.0}, {PAPER: -2.0, RE_EVALUATION: 1.0})
    (axes,) = differences(
        frame(
            *[
                (name, "sft", 0.0, -1.0, 1.0, False, 3, {}, gaps)
                for name, gaps in zip("ab", known, strict=True)
            ]
        ),
        "",
    ).axes
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert [(line.get_xdata()[0], line.get_ydata()[0], line.get_marker()) for line in hollow] == [
        (4, 1, "D"),
        (-2, 0, "D"),
        (1, 0, "s"),
    ]


def test_base_models_are_strokes_and_one_seed_claims_nothing():
    (axes,) = differences(frame(("a", "sft", 1.0, 0.0, 2.0, False, 1, {"x": -1.0, "y": 3.0}, {})), "").axes
    (strokes,) = [line for line in axes.lines if line.get_marker() == "|"]
    assert list(strokes.get_xdata()) == [-1, 3]
    assert axes.texts[0].get_text() == "+1.0†"


def test_nothing_still_draws():
    assert len(differences(frame(), "").axes) == 1


def test_numbers_are_those_of_the_paired_test(build, make_verdicts):
    results = relabelled(build, make_verdicts, {"a": ("prefix_rft", 0.6), "b": ("prefix_rft", 0.4)})
    found = difference_frame(results, "a").iloc[0]
    test = family(results, [("b", "a")], results.metrics[0])["b", "a"]
    np.testing.assert_allclose(
        [found["value"], found["low"], found["high"]],
        100 * np.array([test.difference.value, *test.difference.ci95]),
    )
    assert found["value"] < 0
    assert (found["label"], found["seeds"], found["decided"]) == ("b", 2, test.decided)


def test_published_differences_are_seen_from_the_reference(build, make_verdicts):
    results = relabelled(
        build, make_verdicts, {"SFT": ("sft", 0.4), "Prefix-RFT": ("prefix_rft", 0.6)}, sweep="main_results"
    )
    assert reference_row(results) == "Prefix-RFT"
    (gaps,) = difference_frame(results, "Prefix-RFT")["published"]
    sft, ours = number("sft", PAPER), number("prefix_rft", PAPER)
    assert gaps[PAPER] == pytest.approx(sft - ours)
    assert any(value > 0 for value in gaps.values()), "the re-evaluation has SFT ahead"


def test_the_reference_is_the_row_that_the_published_orderings_are_about(build, make_verdicts):
    rows = {"a": ("rft", 0.5), "b": ("prefix_rft", 0.5), "c": ("sft", 0.5)}
    assert reference_row(relabelled(build, make_verdicts, rows)) == "b", (
        "without orderings the first of Prefix-RFT"
    )


def test_a_single_row_has_no_figure(build, make_verdicts):
    cell = build.done("sft", 0, make_verdicts(0.5))
    assert list(difference_pictures(load_results(build.store, [cell]))) == []
    base = build.done("base", 0, make_verdicts(0.5))
    assert list(difference_pictures(load_results(build.store, [base]))) == []
