"""What the figures show: the numbers behind the lines, and labels that do not collide."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.drawing import band, spread
from analysis.figures import final_scores, learning_curves, pass_at_k, pictures
from analysis.results import load_results
from analysis.style import NAMES, darker, looks


def curve_frame(values: dict[str, list[float | None]]) -> pd.DataFrame:
    rows = [(run, step, value) for run, of in values.items() for step, value in enumerate(of, start=1)]
    return pd.DataFrame(rows, columns=["run_id", "step", "reward"])


def test_band_is_mean_and_range_over_runs_in_percent():
    shown = band(curve_frame({"a": [0.0, 0.5], "b": [0.2, 0.7], "c": [0.1, 0.9]}), "reward")
    np.testing.assert_allclose(shown.mean_S, [10, 70])
    np.testing.assert_allclose(shown.low_S, [0, 50])
    np.testing.assert_allclose(shown.high_S, [20, 90])


def test_steps_that_a_run_has_not_reached_are_left_out():
    shown = band(curve_frame({"a": [0.0, 0.5, 0.9], "b": [0.2, 0.7]}), "reward")
    assert shown.step_S.tolist() == [1, 2]


def test_smoothing_is_a_trailing_mean_over_a_twentieth_of_the_points():
    values = [float(step % 2) for step in range(40)]
    shown = band(curve_frame({"a": values}), "reward")
    assert shown.mean_S.tolist() == [0.0] + [50.0] * 39


def test_nothing_recorded_gives_no_band():
    assert band(curve_frame({"a": [None, None]}), "reward") is None


@given(wanted=st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_labels_keep_their_order_their_distance_and_the_axis(wanted):
    placed = spread(wanted, gap=7, low=-3, high=103)
    by_height = sorted(placed)
    assert all(high - low >= 7 - 1e-9 for low, high in pairwise(by_height))
    assert by_height[0] >= -3 - 1e-9
    assert by_height[-1] <= 103 + 1e-9
    assert sorted(range(len(wanted)), key=lambda i: (wanted[i], i)) == sorted(
        range(len(wanted)), key=lambda i: placed[i]
    )


def test_labels_with_room_stay_where_they_are():
    assert spread([10.0, 90.0, 50.0], gap=7, low=0, high=100) == [10.0, 90.0, 50.0]


def test_labels_that_collide_are_centred_where_they_want_to_be():
    assert spread([50.0, 50.0, 50.0], gap=10, low=0, high=100) == [40.0, 50.0, 60.0]
    assert spread([0.0, 0.0], gap=10, low=0, high=100) == [0.0, 10.0]


def test_labels_without_room_hang_from_the_top():
    assert spread([1.0, 2.0, 3.0], gap=10, low=0, high=15) == [-5.0, 5.0, 15.0]


def test_curves_show_rollouts_as_lines_and_sft_as_a_level(build, make_verdicts):
    cells = [build.done(method, 0, make_verdicts(0.5, method)) for method in ("sft", "rft")]
    build.curve(cells[0].run_id, [None] * 4, {2: 0.4, 4: 0.6})
    build.curve(cells[1].run_id, [0.1, 0.2, 0.3, 0.4], {2: 0.25, 4: 0.35})
    reward, accuracy = learning_curves(load_results(build.store, cells)).axes
    assert [text.get_text() for text in reward.texts] == ["RFT"]
    assert [text.get_text() for text in accuracy.texts] == ["RFT", "SFT"]
    np.testing.assert_allclose(reward.lines[0].get_ydata(), [10, 20, 30, 40])
    np.testing.assert_allclose(accuracy.lines[0].get_xydata(), [[2, 25], [4, 35]])
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [60, 60])


def test_scores_figure_lists_rows_from_the_top_with_their_numbers(build):
    cells = [build.done("base", 0, [[1, 0, 0, 0]] * 4), build.done("sft", 0, [[1, 1, 0, 0]] * 4)]
    (axes,) = final_scores(load_results(build.store, cells)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["SFT", "Base"]
    at = {text.get_position()[1]: text.get_text().split(" ")[0] for text in axes.texts}
    assert at == {0: "50.0", 1: "25.0"}


def test_methods_keep_their_look_whatever_else_is_shown():
    alone = looks([("Prefix-RFT", "prefix_rft")])["Prefix-RFT"]
    among = looks([("SFT", "sft"), ("Prefix-RFT", "prefix_rft"), ("keep 1", "prefix_rft")])
    assert among["Prefix-RFT"] == alone
    assert len({look.colour for look in among.values()}) == 3


def test_text_is_darker_than_its_line():
    assert darker("#FF8000", 0.5) == "#804000"


def test_every_method_has_a_look_of_its_own_and_so_have_fourteen_rows():
    methods = looks([(name, method) for method, name in NAMES.items()])
    for distinct in ("colour", "line", "marker"):
        assert len({getattr(look, distinct) for look in methods.values()}) == len(NAMES)
    rows = looks([(f"keep {i}", "prefix_rft") for i in range(14)])
    assert len(set(rows.values())) == 14
    assert len({look.line for look in rows.values()}) >= 12


def test_variants_take_colours_that_no_method_in_the_figure_has():
    shown = looks([("Prefix-RFT", "prefix_rft"), ("UFT", "uft"), ("keep 1", "prefix_rft")])
    assert shown["keep 1"].colour not in {shown["Prefix-RFT"].colour, shown["UFT"].colour}


def test_pass_at_k_grows_over_the_k_that_were_asked_for(build):
    half = [[1, 1, 0, 0]] * 4
    results = load_results(build.store, [build.done("sft", 0, half)])
    (axes,) = pass_at_k(results).axes
    # 2 of 4 right: pass@1 is 1/2, pass@2 is 1 - C(2,2)/C(4,2) = 5/6.
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 50], [2, 500 / 6]])


def test_two_values_of_k_make_no_figure(build, make_verdicts):
    results = load_results(build.store, [build.done("sft", 0, make_verdicts(0.5))])
    assert [picture.name for picture in pictures(results)] == ["learning_curves", "scores"]


@pytest.mark.parametrize("method", ["sft", "base"])
def test_a_store_without_curves_still_draws(build, make_verdicts, method):
    results = load_results(build.store, [build.done(method, 0, make_verdicts(0.5))])
    assert len(learning_curves(results).axes) == 2
