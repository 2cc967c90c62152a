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

    folder.mkdir(parents=True, exist_ok=True)
    config = RunConfig(method=RftMethod(), model=TinyModel(), data=chain(max_new))
    make_base(config, RunDir(folder), stop=StopFlag(), progress=lambda step, total_steps: None)
    checkpoint = latest_checkpoint(folder)
    assert checkpoint is not None
    return checkpoint.path


def random_model(folder: Path, max_new: int) -> Path:
    """A model of the same size with random weights, for a look at whether things work; returns its folder."""
    from prefix_rft.data.chain_encoder import ChainEncoder
    from prefix_rft.local.initial import write_random_model

    task = chain(max_new)
    encoder = ChainEncoder(task.modulus, task.letters)
    write_random_model(
        folder, TinyModel().architecture, vocabulary=encoder.vocabulary_size, eos_id=encoder.eos_id,
        pad_id=encoder.pad_id, seed=0,
    )  # fmt: skip
    encoder.save(folder)
    return folder
