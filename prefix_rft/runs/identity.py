"""What names a run: a hash over the settings, and the contents of files, that can change its numbers.

Two runs with one identity may differ in the last bits of a float where only batching differs
(backend.micro_batch_tokens, generation_batch, logits_budget, skip_zero_weight_rows, launcher.threads; verl's nodes,
devices and how work is spread over them): these regroup sums that are equal on paper. The rule for a new field: it
counts if it can change the weights, or a row of metrics.jsonl, by more than that. What only decides whether a run
goes on where it would be refused (data.skip_bad_rows, optimisation.on_nonfinite) does not: where both go on they do
the same, and a run that was refused goes on under its own name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prefix_rft.runs.content import file_digest, folder_digest
from prefix_rft.settings import (
    ChainData,
    DataSettings,
    JsonlData,
    LocalBackend,
    ModelSettings,
    ParquetData,
    PretrainedModel,
    RunConfig,
    TinyModel,
    VerlBackend,
    base_backend,
    phases,
)
from prefix_rft.stages import before

FORMAT = 1
"""Raised when the meaning of an identity changes: every run then has a new name."""

Kind = Literal["base", "train"]
Counts = dict[str, Any]

_DATA_PATHS = ("path", "validation_path", "test_path")
_DATA_NEVER = {"skip_bad_rows", *_DATA_PATHS}
_ONLY_DEMONSTRATIONS = {"teacher", "slip_rate"}
_ONLY_SUBSETS = {"fraction", "demonstration_coverage", "subset_seed"}
_GRADING_NEVER = {"workers"}


@dataclass(frozen=True)
class Identity:
    """The name of a run and what it was made from."""

    kind: Kind
    """base: builds or trains the model that training starts from; train: trains by a method."""
    counts: Counts
    """`settings`: those that count; `content`: digests of the files that count, by the naming setting."""
    id: str
    """12 hex digits."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a chain."""

    identity: Identity
    config: RunConfig
    parent_id: str | None
    """The run whose last checkpoint it starts from."""


def base_identity(config: RunConfig) -> Identity | None:
    """The run that makes the starting model; None for a pretrained model, which is there already.

    Raises:
        DataError: a file that counts cannot be read.
    """
    if isinstance(config.model, PretrainedModel):
        return None
    content = {} if isinstance(config.model, TinyModel) else _data_content(config.data)
    return _identity("base", settings_that_count("base", config), content)


def train_identity(config: RunConfig) -> Identity:
    """The run that trains by the configuration's method.

    Raises:
        DataError: a file that counts cannot be read.
    """
    content = _data_content(config.data) | _model_content(config.model)
    return _identity("train", settings_that_count("train", config), content)


def predecessor(config: RunConfig) -> RunConfig | None:
    """The training run that this one starts from: `sft` with the same settings for `sft_rft`, else None."""
    method = before(config.method)
    return config.model_copy(update={"method": method}) if method else None


def chain(config: RunConfig) -> list[PlannedRun]:
    """Every run that the configuration needs, in order, itself last.

    Raises:
        DataError: a file that counts cannot be read.
    """
    base = base_identity(config)
    planned = [PlannedRun(base, config, None)] if base else []
    for step in (predecessor(config), config):
        if step is not None:
            parent = planned[-1].identity.id if planned else None
            planned.append(PlannedRun(train_identity(step), step, parent))
    return planned


def settings_that_count(kind: Kind, config: RunConfig) -> Counts:
    """The part of an identity that the settings give, without reading any file."""
    if kind == "base":
        return {
            "model": config.model.model_dump(mode="json"),
            "data": _base_data(config),
            "backend": _backend(base_backend(config.backend)),
        }
    return {
        "method": config.method.model_dump(mode="json"),
        "model": config.model.model_dump(mode="json", exclude={"path", "source", "trust_remote_code"}),
        "data": _data(config.data),
        "optimisation": _optimisation(config),
        "validation": config.evaluation.validation.model_dump(mode="json"),
        "backend": _backend(config.backend),
        "seed": config.seed,
    }


def evaluation_digest(config: RunConfig) -> str:
    """8 hex digits over the settings that can change the score of given weights."""
    protocol = config.evaluation.model_dump(
        mode="json", exclude={"protocol", "splits", "benchmarks", "validation"}
    )
    return _digest({"format": FORMAT, "protocol": protocol, "grading": _grading(config.data)}, 8)


def evaluation_folder(config: RunConfig) -> str:
    """Folder name of the configuration's protocol: two protocols of one name never share a folder."""
    return f"{config.evaluation.protocol}-{evaluation_digest(config)}"


def benchmark_folder(config: RunConfig) -> str:
    """Folder name of what the configuration asks for on a benchmark."""
    asked = config.evaluation.benchmarks
    counts = asked.model_dump(mode="json", exclude={"names", "folder"})
    return f"{asked.protocol}-{_digest({'format': FORMAT, 'benchmarks': counts}, 8)}"


def evaluations(config: RunConfig) -> tuple[tuple[str, str], ...]:
    """All that is evaluated after training: splits of the data, then benchmarks, each with its folder's name."""
    splits = ((split, evaluation_folder(config)) for split in config.evaluation.splits)
    benchmarks = ((name, benchmark_folder(config)) for name in config.evaluation.benchmarks.names)
    return (*splits, *benchmarks)


def _identity(kind: Kind, settings: Counts, content: Mapping[str, str]) -> Identity:
    counts = {"settings": settings, "content": dict(content)}
    return Identity(kind, counts, identity_digest(kind, counts))


def identity_digest(kind: Kind, counts: Counts) -> str:
    """The id that kind and counts give; 12 hex digits."""
    return _digest({"format": FORMAT, "kind": kind, "counts": counts}, 12)


def _digest(value: Any, length: int) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


def _data(data: DataSettings) -> Counts:
    return data.model_dump(mode="json", exclude=_DATA_NEVER | {"grading"}) | {"grading": _grading(data)}


def _grading(data: DataSettings) -> Counts:
    return data.grading.model_dump(mode="json", exclude=_GRADING_NEVER)


def _base_data(config: RunConfig) -> Counts:
    """The embedded task's base is measured on its questions, apart from demonstrations and subsets.

    A scratch model's tokenizer learns from the training texts, whatever chooses or shapes them.
    """
    never = _DATA_NEVER | {"grading"}
    if isinstance(config.data, ChainData):
        never = never | _ONLY_DEMONSTRATIONS | _ONLY_SUBSETS
    return config.data.model_dump(mode="json", exclude=never)


def _optimisation(config: RunConfig) -> Counts:
    used = config.optimisation.model_dump(mode="json", include=phases(config.method))
    return {name: _without(phase, "checkpoint_every") for name, phase in used.items()}


def _backend(backend: LocalBackend | VerlBackend) -> Counts:
    if isinstance(backend, VerlBackend):
        return backend.model_dump(
            mode="json", include={"kind", "device", "dtype", "engine", "plugin", "verl"}
        )
    device = backend.device.partition(":")[0]
    return backend.model_dump(mode="json", include={"kind", "dtype", "fast_path"}) | {"device": device}


def _without(values: Counts, key: str) -> Counts:
    return {name: value for name, value in values.items() if name != key}


def _data_content(data: DataSettings) -> dict[str, str]:
    if not isinstance(data, JsonlData | ParquetData):
        return {}
    paths = {name: getattr(data, name) for name in _DATA_PATHS}
    return {f"data.{name}": file_digest(path) for name, path in paths.items() if path is not None}


def _model_content(model: ModelSettings) -> dict[str, str]:
    return {"model.path": folder_digest(model.path)} if isinstance(model, PretrainedModel) else {}
