"""Diagnostics of training: what is drawn, what is said to be missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.diagnostics import GROUPS, Series, diagnostic_figure, diagnostics
from analysis.results import load_results
from prefix_rft.runs.metrics import MetricsWriter


def trained(build, method: str, seed: int, *rows: dict[str, float], **changes):
    cell = build.done(method, seed, [[1, 1, 0, 0]] * 4, **changes)
    writer = MetricsWriter(build.store.path(cell.run_id))
    for step, values in enumerate(rows, start=1):
        writer.append(step, "train", values)
    return cell


def drawn(build, cells) -> dict:
    return {picture.name: picture for picture in diagnostics(load_results(build.store, cells))}


def titles(picture) -> list[str]:
    return [axes.get_title(loc="left") for axes in picture.figure.axes]


def test_what_no_run_recorded_is_said_and_gets_no_panel(build):
    cell = trained(build, "rft", 0, {"reward": 0.1, "entropy": 0.5}, {"reward": 0.2, "entropy": 0.4})
    (name, picture), *others = drawn(build, [cell]).items()
    assert (name, others) == ("diagnostics_tokens", [])
    assert titles(picture) == ["Entropy of explored tokens (nats)"]
    assert (
        "Not recorded by any of these runs: imitated_share, entropy_imitated, clip_fraction."
        in picture.caption
    )


def test_runs_without_curves_have_no_diagnostics(build):
    assert drawn(build, [trained(build, "rft", 0)]) == {}


def test_the_reward_gap_is_in_points_over_the_seeds(build):
    rows = [
        [{"reward": 0.1, "reward_gap": gap}, {"reward": 0.2, "reward_gap": gap / 2}] for gap in (0.6, 0.4)
    ]
    cells = [trained(build, "prefix_rft", seed, *values) for seed, values in enumerate(rows)]
    (gap,) = drawn(build, cells)["diagnostics_rewards"].figure.axes
    np.testing.assert_allclose(gap.lines[0].get_xydata(), [[1, 50], [2, 25]])
    assert [text.get_text() for text in gap.texts] == ["Prefix-RFT"]


def test_gradient_norms_are_drawn_at_the_steps_that_have_them(build):
    row = {"reward": 0.1}
    norms = {"grad_norm_imitated": 0.3, "grad_norm_explored": 0.6, "grad_share_imitated": 1 / 3}
    picture = drawn(build, [trained(build, "prefix_rft", 0, row, row | norms, row, row | norms)])[
        "diagnostics_gradients"
    ]
    imitated, explored, share = picture.figure.axes
    np.testing.assert_allclose(imitated.lines[0].get_xydata(), [[2, 0.3], [4, 0.3]])
    np.testing.assert_allclose(explored.lines[0].get_ydata(), [0.6, 0.6])
    np.testing.assert_allclose(share.lines[0].get_ydata(), [100 / 3, 100 / 3])
    assert "Not recorded" not in picture.caption


def test_zero_throughout_is_said_instead_of_drawn(build):
    hybrid = trained(build, "prefix_rft", 0, {"reward": 0.1, "clip_fraction": 0.0, "imitated_share": 0.2})
    plain = trained(build, "rft", 0, {"reward": 0.1, "clip_fraction": 0.0, "imitated_share": 0.0})
    picture = drawn(build, [hybrid, plain])["diagnostics_tokens"]
    assert titles(picture) == ["Imitated among updated tokens (%)"]
    assert [text.get_text() for text in picture.figure.axes[0].texts] == ["Prefix-RFT"]
    assert "Zero throughout, not drawn: clip_fraction." in picture.caption
    assert "Rows at zero throughout are left out of a panel." in picture.caption


def test_steps_of_supervised_training_do_not_share_the_axis(build):
    assert drawn(build, [trained(build, "sft", 0, {"loss": 1.0, "entropy": 0.5})]) == {}


def test_base_models_stand_side_by_side(build):
    cells = [
        type(cell)(cell.run_id, cell.method, cell.seed, f"{name}, base_seed={base}")
        for name, method in (("a", "rft"), ("b", "prefix_rft"))
        for base in (0, 2)
        for cell in [
            trained(
                build, method, 0, {"reward": 0.1, "entropy": 0.5}, model={"kind": "tiny", "base_seed": base}
            )
        ]
    ]
    picture = drawn(build, cells)["diagnostics_tokens"]
    assert titles(picture) == [f"base_seed={base}\nEntropy of explored tokens (nats)" for base in (0, 2)]
    assert [[text.get_text() for text in axes.texts] for axes in picture.figure.axes] == [["a", "b"]] * 2


def curves(**series: list[float]) -> pd.DataFrame:
    steps = range(1, len(next(iter(series.values()))) + 1)
    return pd.DataFrame({"label": "a", "run_id": "r", "step": steps, "reward": 0.1, **series})


def test_panels_of_one_quantity_share_limits_that_hold_every_base_model(build):
    low, high = ([{"reward": 0.1, "entropy": value}] * 2 for value in (0.2, 0.9))
    cells = [
        type(cell)(cell.run_id, cell.method, cell.seed, f"{name}, base_seed={base}")
        for name, method in (("a", "rft"), ("b", "prefix_rft"))
        for base, rows in ((0, low), (2, high))
        for cell in [trained(build, method, 0, *rows, model={"kind": "tiny", "base_seed": base})]
    ]
    for axes in drawn(build, cells)["diagnostics_tokens"].figure.axes:
        assert axes.get_ylim() == pytest.approx((0, 1.06 * 0.9))


def test_one_spike_does_not_hide_the_rest_and_is_told():
    values = [1.0] * 39 + [50.0]
    (axes,) = diagnostic_figure(curves(grad_norm_imitated=values), GROUPS["gradients"][:1]).axes
    # Smoothed over two steps the spike is 25.5; the usual values are 1.
    assert axes.get_ylim()[1] == pytest.approx(1.06 * 1.3)
    assert axes.texts[0].get_text() == "up to 25.5"


def test_a_gap_of_rewards_has_a_line_at_zero_and_room_below():
    (axes,) = diagnostic_figure(curves(reward_gap=[0.5, -0.5]), GROUPS["rewards"][:1]).axes
    assert axes.get_ylim() == pytest.approx((-53, 53))
    assert any(list(line.get_ydata()) == [0, 0] for line in axes.lines)


def test_nothing_to_draw_is_an_error_that_names_the_quantities():
    with pytest.raises(ValueError, match="none of entropy is in these curves"):
        diagnostic_figure(curves(entropy=[0.0, 0.0]), [Series("entropy", "Entropy")])


@pytest.mark.parametrize("group", GROUPS)
def test_every_quantity_is_drawn_once(group):
    metrics = [series.metric for of in GROUPS.values() for series in of]
    assert all(metrics.count(series.metric) == 1 for series in GROUPS[group])
