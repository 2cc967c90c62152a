"""Labels that do not collide, panels that stand where they should."""

from __future__ import annotations

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.figure_curves import learning_curves
from analysis.figure_layout import arrange, grid, panel_inches, spread
from analysis.style import COLUMN_INCHES, RC

HEIGHTS = st.lists(st.tuples(st.floats(0, 100), st.floats(1, 12)), min_size=1, max_size=8)


@given(wanted=HEIGHTS)
def test_labels_keep_their_order_their_distance_and_the_axis(wanted):
    heights, sizes = zip(*wanted, strict=True)
    placed = spread(heights, sizes, low=-3, high=103)
    order = sorted(range(len(placed)), key=lambda i: (heights[i], i))
    assert sorted(range(len(placed)), key=lambda i: placed[i]) == order
    assert all(placed[b] - placed[a] >= (sizes[a] + sizes[b]) / 2 - 1e-6 for a, b in pairwise(order))
    assert placed[order[0]] >= -3 - 1e-6
    assert placed[order[-1]] <= 103 + 1e-6


def test_labels_with_room_stay_where_they_are():
    assert spread([10.0, 90.0, 50.0], [7, 7, 7], low=0, high=100) == [10.0, 90.0, 50.0]


def test_labels_that_collide_are_centred_where_they_want_to_be():
    assert spread([50.0, 50.0, 50.0], [10, 10, 10], low=0, high=100) == [40.0, 50.0, 60.0]
    assert spread([0.0, 0.0], [10, 10], low=0, high=100) == [0.0, 10.0]


def test_a_taller_label_takes_more_room():
    assert spread([0.0, 0.0, 0.0], [10, 30, 10], low=0, high=100) == [0.0, 20.0, 40.0]


def test_labels_without_room_hang_from_the_top():
    assert spread([1.0, 2.0, 3.0], [10, 10, 10], low=0, high=15) == [-5.0, 5.0, 15.0]


@pytest.mark.parametrize("rows", [1, 9, 14])
def test_names_beside_curves_overlap_neither_each_other_nor_the_edge(rows):
    labels = [f"SFT→RFT, demonstrations on {i} of 10" if i % 3 else f"row {i}" for i in range(rows)]
    curves = pd.DataFrame(
        [(label, "r", step, 0.5, 0.5) for label in labels for step in (1, 2)],
        columns=["label", "run_id", "step", "reward", "validation/accuracy"],
    )
    figure = learning_curves(curves)
    figure.canvas.draw()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert len(boxes) == rows
        pairs = pairwise(sorted(boxes, key=lambda box: box.y0))
        assert all(above.y0 - below.y1 > -1.0 for below, above in pairs), "by more than a pixel"
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_panels_have_the_height_that_was_asked_for_and_the_figure_a_columns_width():
    heights = [1.0, 2.0]
    with mpl.rc_context(RC):
        figure, panels = grid(heights, 2)
        panels[0][1].set_title("a title\nof two lines", loc="left")
        arrange(figure, heights, columns=2)
    width, height = figure.get_size_inches()
    assert width == pytest.approx(2 * COLUMN_INCHES)
    shown = [[axes.get_position() for axes in line] for line in panels]
    np.testing.assert_allclose([[at.height * height for at in line] for line in shown], [[1, 1], [2, 2]])
    assert shown[0][0].y0 > shown[1][0].y1
    assert shown[0][0].x1 < shown[0][1].x0
    assert {round(at.width, 9) for line in shown for at in line} == {round(shown[0][0].width, 9)}
    assert height > 3.4


def test_panels_grow_with_the_lines_of_their_labels():
    assert panel_inches(["a"]) == 1.35
    assert panel_inches(["a"] * 20) == pytest.approx(20 * 0.118)
    assert panel_inches(["two lines of a longer label"] * 20) == pytest.approx(40 * 0.118)


def test_a_panel_outside_a_grid_is_refused():
    figure, _ = grid([1.0], 1)
    figure.add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="made by grid"):
        arrange(figure, [1.0])


def test_a_shared_axis_of_steps_is_shown_at_the_foot_of_its_column():
    _, panels = grid([1.0, 1.0, 1.0], 1)
    assert [line[0].xaxis.get_visible() for line in panels] == [False, False, True]
    _, panels = grid([1.0, 1.0], 1, share_x=False)
    assert [line[0].xaxis.get_visible() for line in panels] == [True, True]
