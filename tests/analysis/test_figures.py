"""What the figures show: the numbers behind the lines, and labels that do not collide."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.drawing import band, left_out, of_rollouts, rows_of
from analysis.figure_curves import learning_curves
from analysis.figure_scores import final_scores, score_frame, scores_by_benchmark
from analysis.figures import pictures
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


def test_curves_show_rollouts_as_lines_and_sft_as_a_level(build, make_verdicts):
    cells = [build.done(method, 0, make_verdicts(0.5, method)) for method in ("sft", "rft")]
    build.curve(cells[0].run_id, [None] * 4, {2: 0.4, 4: 0.6})
    build.curve(cells[1].run_id, [0.1, 0.2, 0.3, 0.4], {2: 0.25, 4: 0.35})
    results = load_results(build.store, cells)
    reward, accuracy = learning_curves(results.frames.curves, rows_of(results)).axes
    assert [text.get_text() for text in reward.texts] == ["RFT"]
    assert [text.get_text() for text in accuracy.texts] == ["RFT", "SFT"]
    np.testing.assert_allclose(reward.lines[0].get_ydata(), [10, 20, 30, 40])
    np.testing.assert_allclose(accuracy.lines[0].get_xydata(), [[2, 25], [4, 35]])
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [60, 60])


def test_steps_without_a_decoded_token_are_not_rollout_steps():
    rows = [("sft", None, 0.0), ("rft", 0.1, 9.0), ("only hybrids", None, 7.0), ("base", None, None)]
    curves = pd.DataFrame(rows, columns=["label", "reward", "decode_steps"])
    assert of_rollouts(curves) == {"rft", "only hybrids"}


def test_scores_figure_lists_rows_from_the_top_with_their_numbers(build):
    cells = [build.done("base", 0, [[1, 0, 0, 0]] * 4), build.done("sft", 0, [[1, 1, 0, 0]] * 4)]
    results = load_results(build.store, cells)
    (axes,) = final_scores(score_frame(results, results.metrics[:1]), rows_of(results)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["SFT", "Base"]
    at = {text.get_position()[1]: text.get_text().split(" ")[0] for text in axes.texts}
    assert at == {0: "50.0", 1: "25.0"}


def test_the_interval_of_a_score_is_drawn_from_end_to_end_within_the_axis():
    scores = pd.DataFrame(
        [("a", "avg@4", 60.0, 5.0, False, (55.0, 65.0)), ("b", "avg@4", 99.0, 3.0, False, (99.0,))],
        columns=["label", "panel", "mean", "half_width", "one_run", "seeds"],
    )
    (axes,) = final_scores(scores).axes
    spans = [collection.get_segments()[0] for collection in axes.collections]
    np.testing.assert_allclose([span[:, 0] for span in spans], [[55, 65], [96, 100]])
    assert [text.get_text() for text in axes.texts] == ["60.0 ± 5.0", "99.0 ± 3.0"]
    seeds, mean = axes.lines[:2]
    assert list(seeds.get_xdata()) == [55, 65]
    assert list(mean.get_xdata()) == [60]


def test_benchmarks_have_a_panel_each_and_one_for_their_mean(build):
    bits = {"aime24": [[1, 0]] * 4, "amc": [[1, 1]] * 2, "minerva": [[0, 0]] * 3}
    cells = [build.on_benchmarks("sft", seed, bits) for seed in range(2)]
    results = load_results(build.store, cells, parts=dict.fromkeys(bits))
    frame = score_frame(results, results.metrics[:4])
    figure = scores_by_benchmark(frame, rows_of(results))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        f"{name} (%)" for name in ("Avg", "AIME24", "AMC", "Minerva")
    ]
    assert [axes.lines[1].get_xdata()[0] for axes in figure.axes] == [50, 50, 100, 0]
    assert "scores_by_benchmark" in [picture.name for picture in pictures(results)]


def test_no_score_and_an_unknown_interval_still_draw():
    empty = pd.DataFrame(columns=["label", "panel", "mean", "half_width", "one_run", "seeds"])
    assert len(final_scores(empty).axes) == 1
    one = pd.DataFrame([("a", "avg@4", 0.0, float("nan"), False, (0.0,))], columns=empty.columns)
    assert [text.get_text() for text in final_scores(one).axes[0].texts] == ["0.0"]


def test_rows_of_one_reason_are_named_together():
    said = left_out({"a": "not started", "b": "not trained", "c": "not started"})
    assert said == "Not drawn: a, c (not started); b (not trained)."
    assert left_out({}) == ""


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


def test_two_values_of_k_make_no_figure(build, make_verdicts):
    results = load_results(build.store, [build.done("sft", 0, make_verdicts(0.5))])
    assert [picture.name for picture in pictures(results)] == ["scores"]


def test_captions_say_how_many_problems_and_seeds_and_who_is_missing(build, make_verdicts):
    cells = [build.done("sft", seed, make_verdicts(0.5, seed)) for seed in range(2)]
    waiting = build.new("rft", 0)
    cells.append(type(cells[0])(waiting.id, "rft", 0, "RFT"))
    found = {picture.name: picture.caption for picture in pictures(load_results(build.store, cells))}
    assert "n: 60 questions of the test split, 2 training seeds a row." in found["scores"]
    assert "Not drawn: RFT (not started)." in found["scores"]


@pytest.mark.parametrize("method", ["sft", "base"])
def test_a_store_without_curves_still_draws(build, make_verdicts, method):
    results = load_results(build.store, [build.done(method, 0, make_verdicts(0.5))])
    assert len(learning_curves(results.frames.curves, rows_of(results)).axes) == 2
