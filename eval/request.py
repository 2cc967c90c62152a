"""What `prefix-rft eval` is asked: one model, some benchmarks, one protocol, and who writes the samples."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from eval.samplers.settings import LocalSampling, SamplerSettings
from prefix_rft.settings.base import Settings

FOLDER_VARIABLE = "PREFIX_RFT_BENCHMARKS"
"""Environment variable that names the folder of benchmark files where the setting does not."""


class EvalRequest(Settings):
    """The settings of an evaluation on published benchmarks; each benchmark's scores carry those that count."""

    model: str = Field(min_length=1)
    """A folder in the Hugging Face layout, owner/name on the hub, or a run: `run:<id>`."""
    revision: str | None = None
    """Commit, tag or branch on the hub."""
    trust_remote_code: bool = False
    """Run code that the model's repository ships; off unless asked for."""
    store: Path = Path("runs")
    """Folder of runs, for `model=run:<id>`."""
    benchmarks: tuple[str, ...] = ("paper",)
    """Names or groups: paper (the six of the paper's tables), general, all."""
    benchmarks_folder: Path | None = None
    """Folder of benchmark files; null takes the one that PREFIX_RFT_BENCHMARKS names, else the hub."""
    allow_changed_data: bool = False
    """Evaluate on a benchmark whose content differs from the registry's; every number is then marked."""
    protocol: str = "luffy"
    """Named protocol: prompt, decoding, grading (docs/protocols.md)."""
    family: str | None = None
    """Model family whose prompt the protocol uses; null finds it in the model's config.json."""
    samples: int | None = Field(None, ge=1)
    """Samples a problem; null takes the benchmark's own number under the protocol."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest response in tokens; null takes the protocol's."""
    problems: int | None = Field(None, ge=1)
    """Use only the first problems of each benchmark, for trials; null uses all."""
    seed: int | None = None
    """Seed of the samples; null takes the protocol's."""
    grading_workers: int = Field(2, ge=1)
    """Grading processes."""
    lighteval: Path | None = None
    """Environment of lighteval, which judges the general benchmarks; null: PREFIX_RFT_LIGHTEVAL or .venv-lighteval."""
    install_lighteval: bool = False
    """Make that environment where it is missing, without asking."""
    sampler: SamplerSettings = LocalSampling()
    """Who writes the samples."""
    out: Path = Path("evaluations")
    """Folder of results: <out>/<model>/<benchmark>/<protocol>-<digest>/."""

    @field_validator("benchmarks", mode="before")
    @classmethod
    def one_or_several(cls, value: Any) -> Any:
        """`a,b` and `[a, b]` mean the same."""
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def benchmarks_folder(setting: Path | str | None) -> Path | None:
    """Where the benchmark files are: as set, else as the environment says; None: on the hub."""
    named = setting or os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else None
