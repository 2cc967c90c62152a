"""A tiny real model on all six benchmarks, from the command line to the mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval.benchmarks.registry import BENCHMARKS, GROUPS
from eval.results import read_scores
from experiments.cli import app
from prefix_rft.data.scratch import train_scratch_tokenizer
from prefix_rft.local.initial import write_random_model
from prefix_rft.settings import Architecture


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    train_scratch_tokenizer(["Find the number of ways. Let $x$ be a real number."], 300, folder)
    shape = Architecture(hidden_size=32, layers=1, heads=2, key_value_heads=2, max_positions=16384)
    write_random_model(folder, shape, vocabulary=310, eos_id=1, pad_id=0, seed=1)
    return folder


@pytest.mark.slow
def test_all_six_end_to_end(model: Path, shared_data: Path, tmp_path: Path) -> None:
    settings = [
        f"model={model}", "benchmarks=paper", f"benchmarks_folder={shared_data / 'eval'}", "protocol=luffy",
        "samples=1", "max_tokens=8", f"out={tmp_path}",
    ]  # fmt: skip
    done = CliRunner().invoke(app, ["eval", *settings])
    assert done.exit_code == 0, done.output
    assert "Avg of 6" in done.output
    for name in GROUPS["paper"]:
        (folder,) = (tmp_path / "tiny" / name).iterdir()
        scores = read_scores(folder)
        assert scores.questions == BENCHMARKS[name].problems
        assert scores.protocol.data_checked
        assert not scores.protocol.data_changes
