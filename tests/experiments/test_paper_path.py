"""The paper's way in small: a model and a data set are prepared, and a run starts from both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.compose import compose
from experiments.execute import execute
from experiments.exits import CellsFailedError
from prefix_rft.data.scratch import train_scratch_tokenizer
from prefix_rft.local.initial import write_random_model
from prefix_rft.runs.checkpoint import latest_checkpoint
from prefix_rft.runs.identity import chain
from prefix_rft.runs.store import Store
from prefix_rft.settings import Architecture, RunConfig

SYSTEM = "Think first."
STEPS = [
    "optimisation=trial",
    "optimisation.rl.steps=1",
    "evaluation=trial",
    "tracking=disabled",
    "backend=local",
]


def row(index: int) -> dict[str, Any]:
    said = f"<think>\nHm, {index}.\n</think>\nIt is \\boxed{{4}}."
    return {
        "data_source": "",
        "prompt": [
            {"content": SYSTEM, "role": "system"},
            {"content": f"What is {index} - {index - 4}?", "role": "user"},
        ],
        "target": None if index == 3 else [{"content": said, "role": "assistant"}],
        "ability": "math",
        "reward_model": {"ground_truth": "4", "style": "rule"},
        "extra_info": {"index": index, "split": "default"},
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model that states what Qwen2.5-Math states, and a file in the layout of the paper's data."""
    monkeypatch.chdir(tmp_path)
    shape = Architecture(
        hidden_size=16, layers=1, heads=2, key_value_heads=1, max_positions=4096, rope_theta=1e4
    )
    write_random_model(Path("math"), shape, vocabulary=280, eos_id=7, pad_id=7, seed=0)
    train_scratch_tokenizer(["What is 2 - 1? It is 4."], 280, Path("math"))
    Path("rows.jsonl").write_text("".join(json.dumps(row(index)) + "\n" for index in range(24)))
    return tmp_path


def prefix_rft(*arguments: str) -> None:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output + done.stderr


def config(model: str, data: str, **budgets: int) -> RunConfig:
    sizes = {"max_prompt_tokens": 128, "max_response_tokens": 64, **budgets}
    held = {"validation_questions": 2, "test_questions": 2}
    return compose(
        [
            "scale=trial",
            "model=pretrained",
            f"model.path={model}",
            "data=openr1_prepared",
            f"data.path={data}",
            "store=runs",
            *(f"data.{key}={value}" for key, value in (sizes | held).items()),
            *STEPS,
        ]
    )


@pytest.mark.usefixtures("here")
def test_what_both_commands_write_trains(capfd: pytest.CaptureFixture[str]) -> None:
    prefix_rft("prepare-model", "math", "--out", "ready")
    budgets = ["data.max_prompt_tokens=128", "data.max_response_tokens=64"]
    prefix_rft(
        "prepare-data", "openr1", "--file", "rows.jsonl", "--tokenizer", "ready", "--workers", "1", *budgets
    )
    whole = config("ready", "data/openr1.jsonl")
    execute([whole]).raise_for_failures()
    (planned,) = chain(whole)
    run = Store("runs").open(planned.identity.id)
    (trained,) = [item for item in run.metrics() if item["kind"] == "train"]
    newest = latest_checkpoint(run.path)
    assert newest is not None
    assert trained["prefix_tokens"] > 0, "a hybrid rollout began with its demonstration"
    assert json.loads((newest.path / "config.json").read_text())["max_position_embeddings"] == 16384
    assert "Assistant: <think>" in (newest.path / "chat_template.jinja").read_text()


@pytest.mark.usefixtures("here")
def test_the_published_model_is_refused_before_anything_is_trained(capfd: pytest.CaptureFixture[str]) -> None:
    prefix_rft("prepare-data", "openr1", "--file", "rows.jsonl", "--tokenizer", "math", "--workers", "1")
    with pytest.raises(CellsFailedError) as failed:
        execute([config("math", "data/openr1.jsonl", max_response_tokens=8192)]).raise_for_failures()
    assert "prefix-rft prepare-model math --out" in str(failed.value)
