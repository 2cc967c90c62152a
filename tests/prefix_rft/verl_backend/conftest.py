"""Configurations of runs on verl."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from prefix_rft.rollout import QuestionTokens, RolloutRequest, StepContext
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


def _write_model(folder: Path, shape: Architecture) -> Path:
    """An untrained model; beside it 16 questions with one-digit answers."""
    from prefix_rft.data.chain_encoder import ChainEncoder
    from prefix_rft.local.initial import write_random_model

    encoder = ChainEncoder(4)
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


@pytest.fixture(scope="session")
def verl_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an untrained model of 3,000 parameters; beside it 16 questions with one-digit answers."""
    shape = Architecture(hidden_size=16, layers=1, heads=2, key_value_heads=2, intermediate_size=32)
    return _write_model(tmp_path_factory.mktemp("verl") / "model", shape)


@pytest.fixture(scope="session")
def vllm_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with heads of 32 numbers, the fewest that vLLM takes on a CPU, and grouped queries."""
    shape = Architecture(hidden_size=64, layers=2, heads=2, key_value_heads=1, intermediate_size=96)
    return _write_model(tmp_path_factory.mktemp("vllm") / "model", shape)


MARK = "PREFIX_RFT_TEST_RUN"
"""Variable that every process of a run inherits."""


class Marked:
    """A run's process, which can be told from all others, and so can those that it starts."""

    def __init__(self, command: Sequence[str], output: Path, **variables: str) -> None:
        self.mark = uuid.uuid4().hex
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables | {MARK: self.mark}
        with output.open("ab") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)

    def living(self) -> list[psutil.Process]:
        """Processes that carry the mark."""
        return [process for process in psutil.process_iter() if _carries(process, self.mark)]

    def left_over(self) -> list[str]:
        """Processes and folders of Ray that outlive it; they are given some seconds to go."""
        for _ in range(100):
            if not self.living():
                break
            time.sleep(0.1)
        folders = Path("/tmp").glob(f"prft-{self.process.pid}-*")
        return [*map(str, self.living()), *map(str, folders)]

    def end(self) -> None:
        """Kill what is still there."""
        for process in self.living():
            process.kill()


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except psutil.Error:
        return False


@pytest.fixture(scope="session")
def marked() -> type[Marked]:
    """Starts a process: (command, file for its output, variables)."""
    return Marked


Asked = list[list[tuple[QuestionTokens, RolloutRequest]]]


def _asked(config: RunConfig, model: Path) -> Asked:
    from prefix_rft import data
    from prefix_rft.data.encode import encode_questions, load_encoder
    from prefix_rft.methods import make_method
    from prefix_rft.order import QuestionOrder

    rl = config.optimisation.rl
    questions = encode_questions(data.load(config.data).train, load_encoder(model), config.data).questions
    order = QuestionOrder(config.seed, len(questions), rl.questions_per_step, keep_partial=False)
    method = make_method(config.method, config.data.max_response_tokens)
    return [
        [
            (questions[i], request)
            for i in order.at(step)
            for request in method.requests(questions[i], StepContext(config.seed, step, rl.steps))
        ]
        for step in range(rl.steps)
    ]


@pytest.fixture(scope="session")
def asked_of() -> Any:
    """By rollout step, what the method asks for, from the same objects that the local backend uses."""
    return _asked
