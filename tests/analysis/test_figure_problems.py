"""Problem by problem: points, counts about the diagonal, solved sets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from analysis.drawing import rows_in, rows_of
from analysis.figure_problems import Versus, problem_pictures, problem_scatter, rate_frame, tally, versus
from analysis.figure_solved import SEGMENTS, solved_frame, solved_sets
from analysis.questions import question_frame
from analysis.results import load_results


def questions(**rows: list[int]) -> pd.DataFrame:
    """Right samples of 4 by label; each label has one run."""
    found = [(label, "test", f"q{i}", n, 4) for label, of in rows.items() for i, n in enumerate(of)]
    return pd.DataFrame(found, columns=["label", "part", "question", "correct", "samples"])


def points(*places: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(places, columns=["x", "y"], dtype=float)


def test_samples_of_all_seeds_count_together(build):
    cells = [
        build.done("sft", 0, [[1, 1, 1, 1], [0, 0, 0, 0]]),
        build.done("sft", 1, [[1, 0, 0, 0], [0, 0, 0, 0]]),
    ]
    rates = rate_frame(question_frame(load_results(build.store, cells)))
    assert rates["SFT"].tolist() == [5 / 8, 0]


def test_a_problem_that_one_row_was_not_asked_is_left_out():
    rates = rate_frame(pd.concat([questions(a=[4, 2]), questions(b=[1])]))
    pair = versus(rates, "a", "b")
    assert (pair.x, pair.y) == ("a", "b")
    assert pair.points.to_numpy().tolist() == [[100, 25]]


def test_counts_about_the_diagonal():
    assert tally(points((0, 50), (20, 20), (30, 10), (0, 0), (5, 6))) == (2, 2, 1)
    assert tally(points()) == (0, 0, 0)


def test_problems_that_coincide_are_one_point_whose_area_grows_with_their_number():
    (axes,) = problem_scatter([Versus("a", "b", points((0, 50), (0, 50), (0, 50), (100, 25)))]).axes
    (dots,) = axes.collections
    assert dots.get_offsets().tolist() == [[0, 50], [100, 25]]
    large, small = dots.get_sizes()
    assert large > small
    assert axes.get_title(loc="left") == "3 above\n0 on, 1 below"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a (%)", "b (%)")


def test_many_places_are_rounded_and_counts_are_not():
    many = points(*((i, i + 0.4) for i in range(60)))
    (axes,) = problem_scatter([Versus("a", "b", many)]).axes
    places = np.array(axes.collections[0].get_offsets())
    assert len(places) < 60
    assert (places % 4 == 0).all()
    assert axes.get_title(loc="left").startswith("60 above")


@pytest.mark.parametrize("places", [(), ((50, 50),), ((0, 0), (0, 0))])
def test_none_one_and_all_zero_draw(places):
    assert len(problem_scatter([Versus("a", "b", points(*places))]).axes) == 1


def test_two_pairs_stand_beside_each_other_and_the_empty_place_of_three_goes():
    panels = [Versus("a", "b", points((1, 2)))] * 3
    assert len(problem_scatter(panels[:2]).axes) == 2
    assert len(problem_scatter(panels).axes) == 3


def test_solved_means_more_than_half_of_all_samples():
    asked = questions(best=[4, 4, 2, 0, 3], other=[4, 0, 4, 0, 2])
    found = solved_frame(rate_frame(asked), {"": "best"}, rows_in(asked)).set_index("name")
    # best solves q0, q1, q4; other q0, q2; half of the samples is not enough.
    assert found.loc["other", list(SEGMENTS)].tolist() == [2, 1, 1, 1]
    assert found.loc["best", list(SEGMENTS)].tolist() == [0, 3, 0, 2]
    assert found["is_best"].tolist() == [True, False]


def test_bars_fill_the_problems_and_say_their_numbers():
    frame = pd.DataFrame(
        [("", "b", False, 20, 50, 10, 20), ("", "a", True, 0, 70, 0, 30)],
        columns=["base", "name", "is_best", *SEGMENTS],
    )
    (axes,) = solved_sets(frame).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches[:4]] == [
        (0, 20),
        (20, 50),
        (70, 10),
        (80, 20),
    ]
    texts = [text.get_text() for text in axes.texts]
    assert texts[:4] == ["20", "50", "10", "20"]
    assert "best" in texts
    assert axes.get_xlim() == (0, 100)


def test_a_segment_too_small_for_its_number_has_none():
    frame = pd.DataFrame([("", "a", False, 1, 998, 0, 1)], columns=["base", "name", "is_best", *SEGMENTS])
    (axes,) = solved_sets(frame).axes
    assert [text.get_text() for text in axes.texts if text.get_text().isdigit()] == ["998"]


def test_the_legend_does_not_overlap():
    frame = pd.DataFrame([("", "a" * 22, False, 1, 2, 3, 4)], columns=["base", "name", "is_best", *SEGMENTS])
    figure = solved_sets(frame)
    figure.canvas.draw()
    names = {"neither", "only this row", "both", "only best", "\N{BLACK SQUARE}"}
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text() in names]
    boxes = sorted(boxes, key=lambda box: box.x0)
    assert len(boxes) == 8
    assert all(a.x1 <= b.x0 + 1 for a, b in pairwise(boxes))
    assert boxes[0].x0 >= 0


def test_the_best_row_meets_its_strongest_rival_and_the_base(build, make_verdicts):
    rates = {"base": 0.1, "sft": 0.4, "rft": 0.6, "prefix_rft": 0.8}
    cells = [build.done(method, 0, make_verdicts(rate, method)) for method, rate in rates.items()]
    scatter, solved = problem_pictures(load_results(build.store, cells))
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in scatter.figure.axes]
    assert labels == [("RFT (%)", "Prefix-RFT (%)"), ("Base (%)", "Prefix-RFT (%)")]
    assert "more than half of the problem's samples" in solved.caption


def test_base_models_are_compared_each_with_its_own_best(build):
    rows = {"a": ("rft", (0.8, 0.3)), "b": ("prefix_rft", (0.4, 0.7))}
    results = load_results(build.store, build.on_bases(rows, seeds=2))
    scatter, solved = problem_pictures(results)
    assert [axes.get_ylabel() for axes in scatter.figure.axes] == ["a (%)", "b (%)"]
    assert [axes.get_xlabel() for axes in solved.figure.axes] == [
        "problems, base_seed=0",
        "problems, base_seed=2",
    ]
    assert rows_of(results).facets[0].base == "base_seed=0"


def test_problems_of_all_benchmarks_are_there(build):
    bits = {"aime24": [[1, 1]] * 4, "amc": [[0, 0]] * 3}
    cells = [build.on_benchmarks(method, 0, bits) for method in ("sft", "rft")]
    scatter, _ = problem_pictures(load_results(build.store, cells, parts=dict.fromkeys(bits)))
    assert scatter.figure.axes[0].get_title(loc="left") == "0 above\n7 on, 0 below"
    assert np.array(scatter.figure.axes[0].collections[0].get_offsets()).tolist() == [[100, 100], [0, 0]]
