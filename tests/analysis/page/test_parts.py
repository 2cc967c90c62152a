"""Settings, curves and responses as the page carries them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from analysis.page.curves import METRICS, POINTS, curves
from analysis.page.samples import rollouts
from analysis.page.settings import commonest, counted_names, differing, leaves
from prefix_rft.runs.rollout_samples import RolloutSample

NAMES = [metric.name for metric in METRICS]


def test_a_leaf_has_value_type_default_and_meaning(build: Any) -> None:
    found = leaves(build.config("prefix_rft", 3, tracking={"tags": ["a", "b"]}), "train")
    seed, tags, select = found["seed"], found["tracking.tags"], found["method.clipping.select"]
    assert (seed.value, seed.kind, seed.default) == ("3", "whole number", "0")
    assert seed.meaning == "Training seed: data order, prefix draws, sampling."
    assert (tags.value, tags.kind, tags.default) == ("[a, b]", "list of text", "[]")
    assert select.kind == "highest | lowest | random"
    assert (found["evaluation.questions"].value, found["evaluation.questions"].kind) == (
        "null",
        "whole number or null",
    )


def test_what_counts_for_the_name_is_told_from_what_does_not(build: Any) -> None:
    config = build.config("rft")
    counted = counted_names(config, "train")
    assert {"seed", "method.rollouts", "data.modulus"} <= counted
    assert not {"store", "tracking.wandb", "launcher.threads", "optimisation.sft.epochs"} & counted
    base = leaves(config, "base")
    assert "model.base_seed" in base
    assert "method.rollouts" not in base
    assert base.keys() < leaves(config, "train").keys()


def test_what_most_runs_have_is_said_once(build: Any) -> None:
    runs = [leaves(build.config("rft", seed), "train") for seed in (0, 1, 1)]
    runs.append(leaves(build.config("sft", 1), "train"))
    assert commonest(runs)["seed"].value == "1"
    assert commonest(runs)["method.rollouts"].value == "8"
    assert differing(runs) == [
        "method.rollouts",
        "method.divide_by_std",
        "method.name",
        *_clipping(runs[0]),
        "seed",
    ]
    assert differing(runs[:1]) == []


def _clipping(run: Any) -> list[str]:
    return [name for name in run if name.startswith("method.clipping")]


def test_shares_are_percent_and_what_is_not_recorded_is_left_out() -> None:
    rows = [
        {"step": 1, "kind": "train", "reward": 0.123456, "loss": -0.5},
        {"step": 2, "kind": "train", "reward": 0},
    ]
    assert curves(rows) == [
        (NAMES.index("reward"), [1, 2], [12.35, 0.0]),
        (NAMES.index("loss"), [1], [-0.5]),
    ]
    assert curves([{"step": 1, "kind": "train", "reward": None, "loss": "none", "entropy": True}]) == []


@pytest.mark.parametrize(("rows", "stride"), [(120, 1), (121, 2), (240, 2), (500, 5)])
def test_long_curves_are_thinned_evenly_and_keep_their_end(rows: int, stride: int) -> None:
    ((_, steps, values),) = curves(
        [{"step": step, "kind": "train", "loss": step} for step in range(1, rows + 1)]
    )
    assert len(steps) <= POINTS
    assert steps[-1] == rows == values[-1]
    assert {b - a for a, b in pairwise(steps)} == {stride}


def _record(step: int = 1, **changes: Any) -> RolloutSample:
    record: dict[str, Any] = {
        "step": step,
        "question": "q",
        "rollout": 0,
        "prompt": "p",
        "pieces": list("abcdef"),
    }
    record |= {"weights": [0, 0.5, 0.5, -1, -1, 0], "imitated": 3, "start": 0, "tokens": 6}
    return RolloutSample(**record | {"reward": 0.0, "finished": True} | changes)


def test_a_response_is_cut_where_the_fate_of_its_tokens_changes() -> None:
    (shown,) = rollouts([_record()])
    assert shown["stretches"] == [("a", "i0"), ("bc", "i+"), ("de", "e-"), ("f", "e0")]
    assert (shown["kept"], shown["seen"]) == (2, 3)
    assert (shown["prefix_advantage"], shown["advantage"]) == (0.5, -1)


def test_of_a_stretch_inside_a_long_response_the_prefix_is_counted_from_its_start() -> None:
    (shown,) = rollouts([_record(start=100, imitated=102, tokens=500)])
    assert [fate for _, fate in shown["stretches"]] == ["i0", "i+", "e+", "e-", "e0"]
    assert (shown["kept"], shown["seen"]) == (1, 2)
    (after,) = rollouts([_record(start=100, imitated=50, tokens=500)])
    assert after["seen"] == 0
    assert all(fate.startswith("e") for _, fate in after["stretches"])


def test_the_first_the_middle_and_the_last_look_are_shown() -> None:
    records = [_record(step) for step in (10, 20, 30, 40, 50) for _ in range(2)]
    assert [shown["step"] for shown in rollouts(records)] == [10, 10, 30, 30, 50, 50]
    assert [shown["step"] for shown in rollouts(records[:4])] == [10, 10, 20, 20]
    assert rollouts([]) == []
