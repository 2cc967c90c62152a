"""Paths between imitation and exploration: which quantity, which looks, where they begin and end."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.figure_trajectories import ACCURACY, NLL, trajectories, trajectory_frame, trajectory_pictures
from analysis.results import load_results
from prefix_rft.runs.metrics import MetricsWriter

NAN = float("nan")


def curves(*rows: tuple, columns: tuple[str, ...] = ("loss",)) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["label", "run_id", "step", "reward", ACCURACY, *columns])


def test_the_likelihood_of_demonstrations_is_averaged_over_runs_at_the_looks_of_all():
    frame = trajectory_frame(
        curves(
            ("a", "r", 10, 0.1, 0.2, 1.0),
            ("a", "r", 20, 0.1, 0.4, 0.8),
            ("a", "r", 30, 0.1, 0.5, 0.7),
            ("a", "s", 10, 0.1, 0.4, 2.0),
            ("a", "s", 20, 0.1, 0.6, 1.2),
            columns=(NLL,),
        )
    )
    np.testing.assert_allclose(frame[["step", "nll", "accuracy"]], [[10, 1.5, 30], [20, 1.0, 50]])


def test_a_row_that_only_imitates_has_its_loss_since_the_look_before():
    frame = trajectory_frame(
        curves(
            ("sft", "r", 1, NAN, NAN, 3.0),
            ("sft", "r", 2, NAN, NAN, 1.0),
            ("sft", "r", 2, NAN, 0.5, NAN),
            ("sft", "r", 3, NAN, NAN, 0.5),
            ("sft", "r", 3, NAN, 0.7, NAN),
            ("rft", "s", 1, 0.1, NAN, 9.0),
            ("rft", "s", 1, NAN, 0.1, NAN),
        )
    )
    np.testing.assert_allclose(frame[["step", "nll", "accuracy"]], [[2, 2.0, 50], [3, 0.5, 70]])
    assert set(frame["label"]) == {"sft"}


def test_losses_and_likelihoods_are_not_mixed():
    frame = trajectory_frame(
        curves(
            *(("rft", "r", step, 0.1, 0.3, NAN, 1.0) for step in (1, 2)),
            *(("sft", "s", step, NAN, 0.3, 2.0, NAN) for step in (1, 2)),
            columns=("loss", NLL),
        )
    )
    assert set(frame["label"]) == {"rft"}
    assert set(frame["measured"]) == {NLL}


@pytest.mark.parametrize("rows", [(), (("sft", "r", 1, NAN, 0.5, 1.0),), (("rft", "r", 1, 0.1, 0.5, 1.0),)])
def test_without_two_looks_there_is_no_path(rows):
    assert trajectory_frame(curves(*rows)).empty


def test_paths_begin_hollow_and_end_filled_on_axes_from_zero():
    frame = pd.DataFrame(
        [("a", 1, 2.0, 10.0, NLL), ("a", 2, 1.0, 40.0, NLL), ("a", 3, 0.5, 90.0, NLL)],
        columns=["label", "step", "nll", "accuracy", "measured"],
    )
    (axes,) = trajectories(frame).axes
    path, dots, start, end = axes.lines[:4]
    np.testing.assert_allclose(path.get_xydata(), [[2, 10], [1, 40], [0.5, 90]])
    np.testing.assert_allclose(dots.get_xydata(), [[1, 40]])
    assert start.get_xydata().tolist() == [[2, 10]]
    assert start.get_markerfacecolor() == "white"
    assert end.get_xydata().tolist() == [[0.5, 90]]
    assert axes.get_xlim() == pytest.approx((0, 2.16))
    assert "a" in [text.get_text() for text in axes.texts]


def test_a_path_that_stands_still_draws():
    frame = pd.DataFrame(
        [("a", i, 0.0, 0.0, NLL) for i in (1, 2)], columns=["label", "step", "nll", "accuracy", "measured"]
    )
    assert trajectories(frame).axes[0].get_xlim() == (0, 1)
    assert len(trajectories(frame.iloc[:0]).axes) == 1


def test_the_caption_says_who_has_recorded_no_likelihood(build, make_verdicts):
    cells = [build.done(method, 0, make_verdicts(0.5, method)) for method in ("sft", "rft")]
    for cell, values in zip(cells, ({"loss": 1.0}, {"loss": 0.0, "reward": 0.5}), strict=True):
        writer = MetricsWriter(build.store.path(cell.run_id))
        for step in (1, 2):
            writer.append(step, "train", values)
            writer.append(step, "validation", {ACCURACY: 0.5})
    (picture,) = trajectory_pictures(load_results(build.store, cells))
    assert "Not drawn: RFT (no likelihood of demonstrations recorded)." in picture.caption
    assert "mini-batches since the last look" in picture.caption
    assert list(trajectory_pictures(load_results(build.store, cells[1:]))) == []
