"""The sampler over a policy: what it asks for, and a whole evaluation of a real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.evaluate import evaluate
from eval.prompts import Prompt
from eval.protocol import describe
from eval.results import verdict_matrix
from eval.sampler import Decoding, LocalSampler, Response, local_version
from prefix_rft.data import load
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.data.encode import encode_questions
from prefix_rft.errors import SettingsError
from prefix_rft.grading import make_grader, version
from prefix_rft.local.initial import write_random_model
from prefix_rft.local.policy import Generation, load_policy
from prefix_rft.settings import Architecture, ChainData, EvaluationSettings, LocalBackend
from prefix_rft.settings.grading import GradingSettings


@dataclass
class Echo:
    """A policy that repeats its prompt and notes what it was asked."""

    context_length: int = 10
    asked: list[dict[str, Any]] = field(default_factory=list)

    def generate(self, prompts: Sequence[Sequence[int]], **asked: Any) -> Generation:
        self.asked.append({"rows": len(prompts), **asked})
        return Generation([list(p) for p in prompts], [len(p) < 3 for p in prompts], 1)


class Words:
    """Ids as text."""

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))


def asked(*rows: list[int]) -> list[Prompt]:
    return [Prompt(f"q{index}", ids=tuple(row)) for index, row in enumerate(rows)]


def keys(count: int) -> NDArray[np.uint64]:
    return np.arange(count, dtype=np.uint64)


def test_it_asks_batch_by_batch_and_keeps_the_order() -> None:
    policy = Echo()
    sampler = LocalSampler(policy, Words(), subject="s", batch=2)  # type: ignore[arg-type]
    made = sampler.sample(asked([1], [2, 3], [4, 5, 6]), keys(3), Decoding(7, 0.6, 0.9))
    assert made == [Response("1", 1, True), Response("2 3", 2, True), Response("4 5 6", 3, False)]
    assert [asked["rows"] for asked in policy.asked] == [2, 1]
    assert policy.asked[1]["key_B"].tolist() == [2]
    assert {key: policy.asked[0][key] for key in ("max_new", "start_B", "temperature", "top_p")} == {
        "max_new": [7, 7],
        "start_B": [0, 0],
        "temperature": 0.6,
        "top_p": 0.9,
    }


def test_a_response_that_does_not_fit_the_context_is_refused_before_sampling() -> None:
    policy = Echo(context_length=10)
    sampler = LocalSampler(policy, Words(), subject="s", batch=1)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"prompt of 3 tokens and a response of up to 8 exceed .* 10"):
        sampler.sample(asked([1], [1, 2, 3]), keys(2), Decoding(8, 1.0, 1.0))
    assert policy.asked == []


def test_a_prompt_without_token_ids_is_refused_by_name() -> None:
    sampler = LocalSampler(Echo(), Words(), subject="s", batch=1)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="'q1' has no token ids"):
        sampler.sample([*asked([1]), Prompt("q1", text="2?")], keys(2), Decoding(1, 1.0, 1.0))


def test_the_version_names_the_software_without_its_build() -> None:
    assert local_version().startswith("torch 2.")
    assert "transformers" in local_version()
    assert "+" not in local_version()


def test_a_real_policy_is_evaluated_and_resumed(tmp_path: Path) -> None:
    encoder = ChainEncoder(4)
    sizes = {"train_questions": 8, "validation_questions": 4, "test_questions": 12}
    settings = ChainData(
        max_prompt_tokens=24,
        max_response_tokens=32,
        grading=GradingSettings(extract=("after_marker", "whole"), marker="#", verifier="exact"),
        **sizes,
    )
    questions = load(settings).test
    encoded = encode_questions(questions, encoder, settings, with_demonstrations=False).questions
    prompts = [Prompt(question.id, ids=question.prompt) for question in encoded]
    shape = Architecture(hidden_size=16, heads=2, key_value_heads=2, layers=1, intermediate_size=32)
    write_random_model(
        tmp_path / "model", shape, vocabulary=encoder.vocabulary_size, eos_id=1, pad_id=0, seed=0
    )
    policy = load_policy(tmp_path / "model", LocalBackend())
    sampler = LocalSampler(policy, encoder, subject="random", batch=24)
    asked = EvaluationSettings(samples=8, pass_at=(1, 4), temperature=1.0)
    record = describe(
        asked,
        settings.grading,
        questions,
        split="test",
        max_tokens=32,
        template="chain",
        grader=version(settings.grading),
        sampler=sampler.name,
        sampler_version=sampler.version,
    )
    with make_grader(settings.grading) as grader:
        whole = evaluate(tmp_path / "a", questions, prompts, sampler, grader, record, asked, 32)

        def stop_half_way(stage: str, done: int, total: int) -> None:
            if (stage, done) == ("sampling", 6):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            evaluate(tmp_path / "b", questions, prompts, sampler, grader, record, asked, 32, stop_half_way)
        resumed = evaluate(tmp_path / "b", questions, prompts, sampler, grader, record, asked, 32)
    assert resumed == whole
    assert sum(whole.statuses.values()) == 12 * 8
    assert 0 < whole.mean_tokens <= 32
    for name in ("samples.parquet", "verdicts.parquet", "scores.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert verdict_matrix(tmp_path / "a")[1].shape == (12, 8)
