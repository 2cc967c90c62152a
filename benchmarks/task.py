"""The embedded task and its base model, for benchmarks."""

from __future__ import annotations

from pathlib import Path

from prefix_rft.settings import ChainData, GradingSettings, RftMethod, RunConfig, TinyModel


def chain(max_new: int) -> ChainData:
    """The embedded task as the toy scale has it."""
    grading = GradingSettings(extract=("after_marker",), marker="#", verifier="exact")
    return ChainData(max_prompt_tokens=16, max_response_tokens=max_new, grading=grading)


def make_model(folder: Path, max_new: int) -> Path:
    """Train the base model under `folder` (about a minute); returns the model's folder."""
    from prefix_rft.local.base import make_base
    from prefix_rft.runs.checkpoint import latest_checkpoint
    from prefix_rft.runs.store import RunDir
    from prefix_rft.stop import StopFlag

    config = RunConfig(method=RftMethod(), model=TinyModel(), data=chain(max_new))
    make_base(config, RunDir(folder), stop=StopFlag(), progress=lambda step, total_steps: None)
    checkpoint = latest_checkpoint(folder)
    assert checkpoint is not None
    return checkpoint.path
