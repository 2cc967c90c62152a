"""The sampler that settings describe, over real models."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.models import Model
from eval.prompts import Prompt
from eval.sampler import Decoding, LocalSampler, local_version
from eval.samplers.build import build
from eval.samplers.endpoint import EndpointSampler
from eval.samplers.settings import EndpointSampling, LocalSampling, TransformersSampling, VllmSampling
from eval.samplers.vllm_sampler import VllmSampler
from prefix_rft.errors import SettingsError, TrainingError

HOT = Decoding(16, 1.0, 1.0)
KEYS = np.arange(1, 13, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
PROMPTS = [Prompt(f"q{i}", ids=(7, 8, *range(9, 9 + i % 4))) for i in range(12)]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return Model("tiny", tiny_model, "model abc")


def test_both_kinds_in_this_process_write_the_same_samples(model: Model) -> None:
    local = build(LocalSampling(batch=12), model)
    general = build(TransformersSampling(dtype="float32", batch=12), model)
    assert isinstance(local, LocalSampler)
    assert isinstance(general, LocalSampler)
    assert (local.policy.path, general.policy.path) == ("fast", "general")
    made = local.sample(PROMPTS, KEYS, HOT)
    assert general.sample(PROMPTS, KEYS, HOT) == made
    assert len({response.text for response in made}) > 6


@pytest.mark.parametrize("batch", [1, 5])
def test_a_row_of_transformers_does_not_depend_on_its_batch(model: Model, batch: int) -> None:
    together = build(TransformersSampling(dtype="float32", batch=12), model).sample(PROMPTS, KEYS, HOT)
    apart = build(TransformersSampling(dtype="float32", batch=batch), model)
    assert apart.sample(PROMPTS, KEYS, HOT) == together
    assert apart.sample(PROMPTS[::-1], KEYS[::-1], HOT)[::-1] == together


def test_names_and_versions_tell_samplers_apart(model: Model) -> None:
    local, general = build(LocalSampling(), model), build(TransformersSampling(), model)
    assert (local.name, local.version) == ("local", local_version())
    assert (general.name, general.version) == ("transformers", f"{local_version()}, bfloat16")
    assert (local.subject, local.batch, general.batch) == ("model abc", 512, 64)
    half = build(LocalSampling(dtype="bfloat16"), model)
    assert half.version == f"{local_version()}, bfloat16"


@pytest.mark.parametrize(
    ("device", "version"), [("cpu", local_version()), ("cuda:1", f"{local_version()}, cuda")]
)
def test_the_sort_of_device_is_named_where_it_is_no_cpu(
    model: Model, monkeypatch: pytest.MonkeyPatch, device: str, version: str
) -> None:
    monkeypatch.setattr("prefix_rft.local.policy.load_policy", lambda *_: None)
    assert build(LocalSampling(device=device), model).version == version


def test_a_setting_that_cannot_be_is_called_by_its_name(model: Model) -> None:
    with pytest.raises(TrainingError, match=r"sampler\.device=tpu is not supported|sampler\.device=tpu: "):
        build(LocalSampling(device="tpu"), model)
    with pytest.raises(TrainingError, match=r"sampler\.fast_path=on"):
        build(LocalSampling(fast_path="on", dtype="bfloat16"), model)


def test_a_server_needs_no_model_here(server: Any) -> None:
    sampler = build(EndpointSampling(base_url=server.url), Model("m", "nowhere", "model abc"))
    assert isinstance(sampler, EndpointSampler)
    assert sampler.server.model == "tiny"


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_ways_to_it_are_named(model: Model) -> None:
    with pytest.raises(SettingsError, match=r"pip install vllm.*make vllm.*kind=endpoint"):
        build(VllmSampling(), model)


def test_vllm_that_cannot_load_a_model_says_why(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        __version__ = "9"

        @staticmethod
        def LLM(**settings: Any) -> None:
            raise ValueError(f"no attention for {settings['dtype']}")

    monkeypatch.setattr("eval.samplers.vllm_sampler._vllm", lambda: Broken)
    with pytest.raises(TrainingError, match=r"vLLM cannot load .*: no attention for float16"):
        build(VllmSampling(dtype="float16"), model)


def test_a_prompt_that_does_not_fit_the_engine_is_refused(model: Model) -> None:
    sampler = VllmSampler.__new__(VllmSampler)
    sampler.context_length = 20
    with pytest.raises(SettingsError, match=r"prompt of 5 tokens and a response of up to 16 exceed .* 20"):
        sampler.sample(PROMPTS, KEYS, HOT)
