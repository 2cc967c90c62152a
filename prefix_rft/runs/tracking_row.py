"""How a run presents itself in W&B: group, job type, tags, settings, and which way each metric should go.

A run is one row while it trains, and a second one (`<run id>-evaluate`) for what was measured of it afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from prefix_rft.runs.jsonl import Record
from prefix_rft.runs.store import RunDir
from prefix_rft.runs.tracking_labels import read_labels, rows_of, tags_of
from prefix_rft.settings import RunConfig, phases
from prefix_rft.settings.tracking import TrackingSettings

Job = Literal["train", "evaluate"]
EVALUATE: Final = "evaluate"
ROW = "row"
"""Key of the configuration that names the run's row in each sweep's table: curves are grouped by it."""
ROLLOUT_STEP, SFT_STEP, BASE_STEP = "rollout_step", "sft_step", "base_step"
"""What a step is: an optimizer step of imitation has no place on an axis of rollout steps."""
_LONGEST_TAG = 64
_KINDS = ("train", "validation", "final", "time")

_UP = ("train/reward", "train/reward_hybrid", "validation/accuracy")
_DOWN = ("train/truncated", "validation/truncated_share", "validation/no_answer_share")
_DOWN_IN_IMITATION = "train/loss"
"""A policy-gradient loss says nothing by its size; that of imitation should fall."""

_QUIET: Mapping[str, Any] = {
    "console": "off",
    "silent": True,
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "symlink": False,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
}


def open_row(run: RunDir, tracking: TrackingSettings, job: Job) -> Any:
    """The run's row in W&B, begun or continued; the caller finishes it."""
    import wandb

    row = wandb.init(dir=run.path, settings=wandb.Settings(**_QUIET), **describe(run, tracking, job))
    if job == "train":
        define_metrics(row, step_name(run))
    return row


def describe(run: RunDir, tracking: TrackingSettings, job: Job) -> dict[str, Any]:
    """How the run presents itself to `wandb.init`."""
    config, labels = run.config(), read_labels(run.path)
    what = config.method.name if run.kind == "train" else "base"
    tags = [config.sweep, what, config.scale, *tags_of(labels), *tracking.tags]
    title = what if what == "base" else f"{what} seed {config.seed}"
    return {
        "mode": tracking.wandb,
        "project": tracking.project,
        "entity": tracking.entity,
        "id": run.id if job == "train" else f"{run.id}-{EVALUATE}",
        "name": title if job == "train" else f"{title}, evaluation",
        "group": config.sweep or what,
        "job_type": run.kind if job == "train" else EVALUATE,
        "tags": list(dict.fromkeys(tag[:_LONGEST_TAG] for tag in tags if tag)),
        "config": _settings(config) | {ROW: rows_of(labels)},
        "resume": "allow",
    }


def step_name(run: RunDir) -> str:
    """What a step of this run is."""
    if run.kind == "base":
        return BASE_STEP
    return SFT_STEP if phases(run.config().method) == {"sft"} else ROLLOUT_STEP


def directions(step: str) -> dict[str, str]:
    """By metric what its summary holds: the last value, and the best one where better has a direction."""
    down = (*_DOWN, _DOWN_IN_IMITATION) if step != ROLLOUT_STEP else _DOWN
    return dict.fromkeys(_UP, "last,max") | dict.fromkeys(down, "last,min")


def define_metrics(row: Any, step: str) -> None:
    """Tell W&B on which axis the metrics stand and which way they should go."""
    row.define_metric(step, hidden=True)
    for kind in _KINDS:
        row.define_metric(f"{kind}/*", step_metric=step, step_sync=False)
    for metric, summary in directions(step).items():
        row.define_metric(metric, step_metric=step, step_sync=False, summary=summary)


def curve_values(row: Record) -> dict[str, Any]:
    """A row of metrics.jsonl as W&B shows it: one panel group a kind, and one for times."""
    kind = row["kind"]
    numbers = {key: value for key, value in row.items() if key not in ("step", "kind") and value is not None}
    return {
        key if key.startswith((f"{kind}/", "time/")) else f"{kind}/{key}": numbers[key] for key in numbers
    }


def curve_summary(rows: Sequence[Record], step: str) -> dict[str, Any]:
    """What the summary holds after all these rows: the last values, and the best ones under last and max or min."""
    history: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in curve_values(row).items():
            history.setdefault(name, []).append(value)
    found: dict[str, Any] = {name: values[-1] for name, values in history.items()}
    for name, ends in directions(step).items():
        if name in history:
            values, best = history[name], ends.partition(",")[2]
            found[name] = {"last": values[-1], best: max(values) if best == "max" else min(values)}
    return found | ({step: rows[-1]["step"]} if rows else {})


def _settings(config: RunConfig) -> dict[str, Any]:
    return config.model_dump(mode="json")
