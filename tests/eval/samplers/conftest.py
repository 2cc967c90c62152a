"""A server that misbehaves, and a tiny model for a real vLLM in an environment of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from eval.prompts import Prompt
from eval.samplers.endpoint import EndpointSampler
from eval.samplers.settings import EndpointSampling
from prefix_rft.data.schema import Message

FILE = Path(__file__).parents[1] / "misbehaving.py"
SCRIPT = Path(__file__).with_name("vllm_script.py")
VLLM_VARIABLE = "VENV_VLLM"


@pytest.fixture(scope="session")
def faults() -> ModuleType:
    """The module of the misbehaving server."""
    spec = importlib.util.spec_from_file_location("misbehaving", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["misbehaving"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(faults: ModuleType) -> Iterator[Any]:
    with faults.serving(faults.Misbehaving()) as running:
        yield running


@pytest.fixture
def connect(server: Any) -> Callable[..., EndpointSampler]:
    """A sampler for the server, quick to repeat and to give up."""

    def made(**settings: Any) -> EndpointSampler:
        quick = {"backoff_seconds": 0.001, "timeout_seconds": 20.0, "concurrency": 4, "retries": 2}
        return EndpointSampler.connect(
            EndpointSampling.model_validate({"base_url": server.url, **quick, **settings}), "model abc"
        )

    return made


@pytest.fixture
def prompts() -> list[Prompt]:
    return [
        Prompt(f"q{i}", ids=(i, 7), text=f"{i}?", messages=(Message(role="user", content=f"{i}?"),))
        for i in range(6)
    ]


@pytest.fixture(scope="session")
def vllm_bin() -> Path:
    """The programs of the environment that has vLLM."""
    root = Path(__file__).parents[3]
    folder = root / os.environ.get(VLLM_VARIABLE, ".venv-vllm") / "bin"
    if not (folder / "vllm").exists():
        pytest.skip(f"no vLLM at {folder}; `make vllm` makes the environment, {VLLM_VARIABLE} names another")
    return folder


@pytest.fixture(scope="session")
def vllm_environment() -> dict[str, str]:
    """One small cache, one thread, no network."""
    extra = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | extra


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random float32 Qwen2 whose own decoding settings would change every sample; heads of 32 for vLLM on a CPU."""
    from prefix_rft.data.encode import load_encoder
    from prefix_rft.data.scratch import train_scratch_tokenizer
    from prefix_rft.local.initial import write_random_model
    from prefix_rft.settings import Architecture

    folder = tmp_path_factory.mktemp("tiny")
    train_scratch_tokenizer(["What is 1 + 2 ? It is 3 ."] * 3, 280, folder)
    encoder = load_encoder(folder)
    shape = Architecture(
        hidden_size=64, heads=2, key_value_heads=2, layers=2, intermediate_size=128, max_positions=256
    )
    ends = {"eos_id": encoder.eos_id, "pad_id": encoder.pad_id}
    write_random_model(folder, shape, vocabulary=encoder.vocabulary_size, seed=0, **ends)
    decoding = folder / "generation_config.json"
    own = {"top_k": 1, "temperature": 0.1, "repetition_penalty": 1.5}
    decoding.write_text(json.dumps({**json.loads(decoding.read_text()), **own}))
    return folder


@pytest.fixture(scope="session")
def vllm_run(
    vllm_bin: Path,
    vllm_environment: dict[str, str],
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Any]:
    """Runs vllm_script.py with a plan; what it found, or None where it was to die."""

    def run(*, dies_of: int | None = None, **plan: Any) -> Any:
        folder = tmp_path_factory.mktemp("script")
        whole = json.dumps({"model": str(tiny_model), "to": str(folder / "found.json"), **plan})
        done = subprocess.run(
            [vllm_bin / "python", SCRIPT, whole],
            env=vllm_environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == (-dies_of if dies_of else 0), done.stdout[-2000:] + done.stderr[-4000:]
        return None if dies_of else json.loads((folder / "found.json").read_text())

    return run
