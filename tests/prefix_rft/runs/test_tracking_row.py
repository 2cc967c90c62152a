"""How a run presents itself in W&B, without W&B."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prefix_rft.runs.identity import base_identity, train_identity
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.runs.tracking_labels import Label, add_label, read_labels, tags_of
from prefix_rft.runs.tracking_row import curve_summary, define_metrics, describe, directions, step_name
from prefix_rft.settings import RunConfig

MakeConfig = Callable[..., RunConfig]


def test_labels_of_several_sweeps_stand_side_by_side(run: RunDir) -> None:
    assert add_label(run.path, "main_results", ["method=rft", "seed=0"])
    assert add_label(run.path, "schedule", ["seed=0", "kind=cosine"], "cosine")
    assert tags_of(read_labels(run.path)) == [
        *("main_results", "schedule", "method=rft", "seed=0", "kind=cosine"),
    ]


def test_a_row_stays_where_only_tags_are_said_again(run: RunDir) -> None:
    assert add_label(run.path, "schedule", ["seed=0"], "cosine")
    assert not add_label(run.path, "schedule", ["seed=0"])
    assert add_label(run.path, "schedule", ["seed=1"])
    assert read_labels(run.path) == {"schedule": Label(("seed=1",), "cosine")}


def test_a_run_carries_group_job_tags_and_the_rows_it_stands_in(finished: RunDir) -> None:
    add_label(finished.path, "schedule", ["method.schedule.kind=cosine", "seed=3"], "cosine")
    said = describe(finished, finished.config().tracking, "train")
    assert (said["id"], said["group"], said["job_type"]) == (finished.id, "main_results", "train")
    assert said["tags"] == [
        *("main_results", "prefix_rft", "toy", "schedule", "method.schedule.kind=cosine", "seed=3", "mine"),
    ]
    assert said["config"]["row"] == {"schedule": "cosine"}
    assert said["config"]["method"]["name"] == "prefix_rft"


def test_what_was_measured_is_a_row_of_its_own(finished: RunDir) -> None:
    tracking = finished.config().tracking
    trained, measured = (describe(finished, tracking, job) for job in ("train", "evaluate"))
    assert (measured["id"], measured["job_type"]) == (f"{finished.id}-evaluate", "evaluate")
    assert measured["name"] == "prefix_rft seed 3, evaluation"
    assert {key for key in trained if trained[key] != measured[key]} == {"id", "name", "job_type"}


def test_a_long_tag_is_cut_to_what_wandb_takes(finished: RunDir) -> None:
    add_label(finished.path, "main_results", ["x" * 100])
    assert "x" * 64 in describe(finished, finished.config().tracking, "train")["tags"]


@pytest.mark.parametrize(
    ("method", "step"), [("sft", "sft_step"), ("sft_rft", "rollout_step"), ("relift", "rollout_step")]
)
def test_a_step_is_called_what_it_is(tmp_path: Path, make_config: MakeConfig, method: str, step: str) -> None:
    config = make_config(method)
    assert step_name(Store(tmp_path).create(train_identity(config), config)) == step


def test_a_base_models_steps_are_its_own(tmp_path: Path, make_config: MakeConfig) -> None:
    config = make_config()
    identity = base_identity(config)
    assert identity is not None
    assert step_name(Store(tmp_path).create(identity, config)) == "base_step"


def test_a_loss_has_a_direction_only_in_imitation() -> None:
    assert directions("sft_step")["train/loss"] == "last,min"
    assert "train/loss" not in directions("rollout_step")
    assert directions("rollout_step")["validation/accuracy"] == "last,max"


def test_a_summary_is_of_all_rows_whatever_was_mirrored_when() -> None:
    rows = [
        {"step": 1, "kind": "train", "reward": 0.25, "loss": 3.0, "time/step": 1.0},
        {"step": 2, "kind": "train", "reward": 0.75, "loss": None, "truncated": 0.5},
        {"step": 3, "kind": "train", "reward": 0.5, "loss": 1.0, "truncated": 1.0},
        {"step": 3, "kind": "validation", "validation/accuracy": 0.5},
    ]
    assert curve_summary(rows, "rollout_step") == {
        "train/reward": {"last": 0.5, "max": 0.75},
        "train/truncated": {"last": 1.0, "min": 0.5},
        "train/loss": 1.0,
        "time/step": 1.0,
        "validation/accuracy": {"last": 0.5, "max": 0.5},
        "rollout_step": 3,
    }
    assert curve_summary([], "rollout_step") == {}


def test_every_metric_stands_on_the_runs_own_step() -> None:
    said: dict[str, dict[str, object]] = {}

    class Row:
        def define_metric(self, name: str, **details: object) -> None:
            said[name] = details

    define_metrics(Row(), "sft_step")
    assert said.pop("sft_step") == {"hidden": True}
    assert {details["step_metric"] for details in said.values()} == {"sft_step"}
    assert said["train/loss"]["summary"] == "last,min"
    assert {"train/*", "validation/*", "time/*"} <= said.keys()
