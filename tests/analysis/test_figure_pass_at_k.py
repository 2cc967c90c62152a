"""pass@k against k, on a split and on benchmarks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.drawing import rows_of
from analysis.figure_pass_at_k import pass_at_k, pass_frame, pass_pictures
from analysis.results import load_results


def test_a_split_takes_the_k_that_were_asked_for(build):
    # 2 of 4 right: pass@1 is 1/2, pass@2 is 1 - C(2,2)/C(4,2) = 5/6; two values of k are too few for a curve.
    results = load_results(build.store, [build.done("sft", 0, [[1, 1, 0, 0]] * 4)])
    assert pass_frame(results).empty
    assert list(pass_pictures(results)) == []


def values(**of: list[float]) -> pd.DataFrame:
    rows = [(label, "r", "test", 2**i, value) for label, found in of.items() for i, value in enumerate(found)]
    return pd.DataFrame(rows, columns=["label", "run_id", "part", "k", "value"])


def test_points_stand_at_their_k_in_percent():
    (axes,) = pass_at_k(values(a=[0.5, 0.75, 1.0])).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 50], [2, 75], [4, 100]])
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "4"]


def test_the_band_is_the_range_over_runs():
    two = pd.concat([values(a=[0.2, 0.4, 0.6]), values(a=[0.4, 0.6, 1.0]).assign(run_id="s")])
    (axes,) = pass_at_k(two).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [30, 50, 80])
    (shade,) = axes.collections
    assert shade.get_datalim(axes.transData).intervaly.tolist() == [20, 100]


def test_many_k_are_not_all_written_and_the_last_is():
    (axes,) = pass_at_k(values(a=[i / 11 for i in range(12)])).axes
    written = [tick.get_text() for tick in axes.get_xticklabels()]
    assert len(written) == 12
    assert [text for text in written if text] == ["2", "8", "32", "128", "512", "2048"]


def test_every_benchmark_with_enough_samples_has_a_panel_of_its_own(build):
    bits = {"aime24": [[1, 0, 0, 0]] * 4, "amc": [[1, 1, 0, 0]] * 2, "minerva": [[1]] * 3}
    results = load_results(build.store, [build.on_benchmarks("sft", 0, bits)], parts=dict.fromkeys(bits))
    frame = pass_frame(results)
    found = {part: of["value"].tolist() for part, of in frame.groupby("part")}
    # One of four right: pass@k is k/4. Two of four: 1/2, 5/6, 1.
    np.testing.assert_allclose(found["AIME24"], [0.25, 0.5, 1.0])
    np.testing.assert_allclose(found["AMC"], [0.5, 5 / 6, 1.0])
    figure = pass_at_k(frame, rows_of(results))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["AIME24, pass@k (%)", "AMC, pass@k (%)"]
    (picture,) = pass_pictures(results)
    assert "Too few samples for a curve: Minerva." in picture.caption


def test_nothing_gives_empty_axes():
    assert len(pass_at_k(values()).axes) == 1
