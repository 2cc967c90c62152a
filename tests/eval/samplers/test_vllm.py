"""vLLM's offline engine on a CPU, in an environment and processes of its own (`make vllm`)."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.models import Model
from eval.sampler import Decoding, LocalSampler
from eval.samplers.build import build
from eval.samplers.settings import LocalSampling, TransformersSampling
from prefix_rft.data.encode import load_encoder

pytestmark = pytest.mark.vllm
CLOSE = 1e-4
"""Between log-probabilities of vLLM and of transformers; 8e-6 was measured."""


@pytest.fixture(scope="module")
def written(vllm_run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process wrote, which then ran an evaluation through."""
    folder = tmp_path_factory.mktemp("whole")
    found: dict[str, Any] = vllm_run(writes=True, evaluation=str(folder / "evaluation"))
    return {**found, "evaluation": folder / "evaluation"}


def test_the_same_keys_give_the_same_samples_in_any_company(written: dict[str, Any]) -> None:
    assert written["again"] == written["ids"]
    assert written["in small batches"] == written["ids"]
    assert written["backwards"] == written["ids"]
    assert len({tuple(row) for row in written["ids"]}) == 32  # not because all are alike
    assert written["other keys"] != written["ids"]
    assert written["nucleus"] != written["ids"]


def test_a_sample_ends_at_the_end_token_or_at_the_limit(written: dict[str, Any], tiny_model: Path) -> None:
    end = load_encoder(tiny_model).eos_id
    assert 0 < sum(written["finished"]) < 32
    for row, finished in zip(written["ids"], written["finished"], strict=True):
        assert (row[-1] == end) is finished
        assert end not in row[:-1]
        assert finished or len(row) == 24


def test_texts_are_decoded_and_tokens_counted_as_everywhere(
    written: dict[str, Any], tiny_model: Path
) -> None:
    encoder = load_encoder(tiny_model)
    rows = zip(written["ids"], written["finished"], strict=True)
    assert written["responses"] == [[encoder.decode(ids), len(ids), finished] for ids, finished in rows]


def test_log_probabilities_are_those_of_transformers(written: dict[str, Any], tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    worst = 0.0
    for prompt, ids, logprobs in zip(written["rows"], written["ids"], written["logprobs"], strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        expected = torch.log_softmax(logits.double(), -1).gather(-1, torch.tensor(ids)[:, None])[:, 0]
        worst = max(worst, float((expected - torch.tensor(logprobs, dtype=torch.float64)).abs().max()))
    print(f"largest difference of a log-probability: {worst:.1e}")
    assert worst < CLOSE


@pytest.mark.parametrize("settings", [LocalSampling(), TransformersSampling(dtype="float32")])
def test_greedy_responses_are_those_of_our_own_samplers(
    written: dict[str, Any], tiny_model: Path, settings: LocalSampling | TransformersSampling
) -> None:
    sampler = build(settings, Model("tiny", tiny_model, "model tiny"))
    assert isinstance(sampler, LocalSampler)
    made = sampler.policy.generate(
        written["rows"],
        max_new=[24] * 32,
        key_B=np.zeros(32, np.uint64),
        start_B=[0] * 32,
        temperature=Decoding(24, 0.0, 1.0).temperature,
    )
    assert [list(row) for row in made.tokens] == written["greedy"]


def test_the_version_names_the_engine(written: dict[str, Any]) -> None:
    assert written["version"] == "vllm 0.32.0, torch 2.13.0, float32"
    assert written["samples made"] == 96


def test_killed_it_goes_on_to_the_same_samples_in_another_process(
    written: dict[str, Any], vllm_run: Callable[..., Any], tmp_path: Path
) -> None:
    killed = vllm_run(evaluation=str(tmp_path), dies_at=5, dies_of=signal.SIGKILL)
    assert killed is None
    assert len(list((tmp_path / "samples.parts").iterdir())) == 3  # batches of two questions
    resumed = vllm_run(evaluation=str(tmp_path), batch=8)
    assert resumed["samples made"] == 96 - 3 * 16
    for name in ("samples.parquet", "verdicts.parquet", "scores.json", "protocol.json"):
        assert (tmp_path / name).read_bytes() == (written["evaluation"] / name).read_bytes(), name
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["protocol"]["sampler_version"] == written["version"]
