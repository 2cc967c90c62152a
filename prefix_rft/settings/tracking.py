"""Settings of the mirror of metrics to Weights & Biases, and of processes on this machine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from prefix_rft.settings.base import Settings


class TrackingSettings(Settings):
    """metrics.jsonl is the source of truth; W&B is a mirror of it."""

    wandb: Literal["offline", "online", "disabled"] = "offline"
    """Where the mirror goes: files beside the run, the server, or nowhere."""
    project: str = Field("prefix-rft", min_length=1)
    """W&B project."""
    entity: str | None = None
    """W&B team or user; null is the account's default."""
    tags: tuple[str, ...] = ()
    """Extra tags; the sweep, the method, the scale and what the sweep varies always are tags."""
    sample_rows: int = Field(64, ge=0)
    """Rows of the tables of text: the newest rollouts of training, responses of each evaluation; 0 shows no text."""


class LauncherSettings(Settings):
    """How `--multirun` uses this machine."""

    workers: int | None = Field(None, ge=1)
    """Runs at a time; null takes one a core."""
    threads: int = Field(1, ge=1)
    """Threads of one run's process."""
