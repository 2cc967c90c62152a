"""What is refused before a model is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.compose import compose
from prefix_rft.errors import DataError, TrainingError
from prefix_rft.models import check_ready, prepare_model
from prefix_rft.settings import RunConfig, parse

MakeModel = Callable[..., Path]


def config(path: str, **data: Any) -> RunConfig:
    budgets = {
        "kind": "jsonl",
        "path": "q.jsonl",
        "max_prompt_tokens": 1024,
        "max_response_tokens": 8192,
        **data,
    }
    model = {"kind": "pretrained", "path": path}
    return parse(RunConfig, {"method": {"name": "rft"}, "model": model, "data": budgets})


def test_a_math_model_with_its_own_context_is_refused_with_the_command(published: MakeModel) -> None:
    source = str(published())
    with pytest.raises(TrainingError) as refused:
        check_ready(config(source), source)
    message = str(refused.value)
    assert f"the model {source} reads at most 4096 tokens" in message
    assert "data.max_prompt_tokens=1024 and data.max_response_tokens=8192 ask for 9216" in message
    assert f"`prefix-rft prepare-model {source} --out <folder>`" in message
    assert "16384 positions at rope_theta=40000" in message


def test_the_prepared_model_is_accepted(published: MakeModel, tmp_path: Path) -> None:
    prepare_model(str(published()), tmp_path / "m")
    check_ready(config(str(tmp_path / "m")), tmp_path / "m")


def test_budgets_to_the_last_token_fit(published: MakeModel) -> None:
    source = str(published())
    check_ready(config(source, max_response_tokens=3072), source)
    with pytest.raises(TrainingError, match="ask for 4097"):
        check_ready(config(source, max_response_tokens=3073), source)


def test_what_no_preparation_lengthens_is_said_too(published: MakeModel, tmp_path: Path) -> None:
    short = str(published(max_position_embeddings=512))
    with pytest.raises(TrainingError, match=r"at most 512 tokens.*Lower data\.max_response_tokens"):
        check_ready(config(short), short)
    prepare_model(str(published("math")), tmp_path / "m")
    with pytest.raises(TrainingError, match=r"at most 16384 tokens.*Lower data\.max_response_tokens"):
        check_ready(config(str(tmp_path / "m"), max_response_tokens=20_000), tmp_path / "m")


def test_a_configured_model_that_is_not_made_yet_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paper = compose(["scale=paper", "model=qwen2.5-math-1.5b"])
    with pytest.raises(DataError) as refused:
        check_ready(paper, "models/qwen2.5-math-1.5b-16k")
    command = "`prefix-rft prepare-model Qwen/Qwen2.5-Math-1.5B --out models/qwen2.5-math-1.5b-16k`"
    assert command in str(refused.value)


def test_models_that_the_suite_makes_are_left_alone() -> None:
    check_ready(compose([]), "nowhere")
