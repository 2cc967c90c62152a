"""Configurations of runs on verl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prefix_rft.settings import Architecture, RunConfig, parse
from prefix_rft.verl_backend.translation import Files


def _run(method: str = "prefix_rft", **sections: Any) -> RunConfig:
    backend = {"kind": "verl", **sections.pop("backend", {})}
    rl = {"gradient_norms_every": 0, **sections.pop("rl", {})}
    optimisation = {"rl": rl, "sft": sections.pop("sft", {})}
    values = {"method": {"name": method}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}}
    return parse(RunConfig, {**values, "backend": backend, "optimisation": optimisation, **sections})


@pytest.fixture(scope="session")
def verl_run() -> Any:
    """Makes a run of the embedded task on verl; `backend`, `rl` and `sft` add to their settings."""
    return _run


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Where a run's files would be."""
    return Files(
        model=tmp_path / "model",
        train=tmp_path / "train.parquet",
        validation=tmp_path / "validation.parquet",
        agent_loop=tmp_path / "agent_loop.yaml",
        checkpoints=tmp_path / "verl",
    )


def _on_a_cpu(store: Path, model: Path, method: str = "prefix_rft", **sections: Any) -> RunConfig:
    rollouts = {} if method == "sft" else {"rollouts": 8}
    often = {"learning_rate": 1e-2, "checkpoint_every": 0, "validate_every": 0}
    rl = {"steps": 3, "mini_batches": 2, "questions_per_step": 4, "gradient_norms_every": 0}
    sft = {"epochs": 1, "questions_per_step": 5}
    backend = {
        "kind": "verl",
        "device": "cpu",
        "dtype": "float32",
        "devices_per_node": 1,
        "engine": "cpu",
        "plugin": "prefix_rft.verl_backend.testing",
        "attention": "eager",
        "gradient_checkpointing": False,
        "agent_workers": 1,
        "ray_cpus": 16,
        "micro_batch_tokens": 256,
    }
    values = {
        "method": {"name": method, **rollouts, **sections.pop("rule", {})},
        "model": {"kind": "pretrained", "path": str(model)},
        "data": {
            "kind": "jsonl",
            "path": str(model.parent / "questions.jsonl"),
            "validation_questions": 3,
            "test_questions": 0,
            "max_prompt_tokens": 8,
            "max_response_tokens": 12,
            "grading": {"extract": ["last_number"], "verifier": "exact"},
            **sections.pop("data", {}),
        },
        "optimisation": {"rl": {**often, **rl, **sections.pop("rl", {})}, "sft": {**often, **sft}},
        "backend": {**backend, **sections.pop("backend", {})},
        "evaluation": {"splits": []},
        "tracking": {"wandb": "disabled"},
        "store": str(store),
    }
    return parse(RunConfig, {**values, **sections})


@pytest.fixture(scope="session")
def verl_settings() -> Any:
    """Makes a short run on the CPU plugin: (store, model folder, method, sections); questions lie beside the model."""
    return _on_a_cpu


@pytest.fixture(scope="session")
def verl_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an untrained model of 3,000 parameters; beside it 16 questions with one-digit answers."""
    from prefix_rft.data.chain_encoder import ChainEncoder
    from prefix_rft.local.initial import write_random_model

    folder, encoder = tmp_path_factory.mktemp("verl") / "model", ChainEncoder(4)
    shape = Architecture(hidden_size=16, layers=1, heads=2, key_value_heads=2, intermediate_size=32)
    write_random_model(folder, shape, vocabulary=encoder.vocabulary_size, eos_id=1, pad_id=0, seed=0)
    encoder.save(folder)
    rows = [
        {
            "id": f"q{i}",
            "problem": f"{i // 4}{i % 4}?",
            "answer": str(i % 4),
            "solution": f"={i % 4}+{i // 4}-{i // 4}={i % 4}#{i % 4}",
        }
        for i in range(16)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder.parent / "questions.jsonl").write_text(text, encoding="utf-8")
    return folder
