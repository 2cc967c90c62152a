"""A tiny random model with a tokenizer of its own, and benchmark files made here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.benchmarks.registry import BENCHMARKS
from prefix_rft.data.scratch import train_scratch_tokenizer
from prefix_rft.local.initial import write_random_model
from prefix_rft.settings import Architecture


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes nonsense, at 300 entries of a byte-level vocabulary."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    train_scratch_tokenizer(["What is 1 plus 2? Put the answer in a box."], 300, folder)
    entries = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    shape = Architecture(hidden_size=32, layers=1, heads=2, key_value_heads=2, max_positions=4096)
    write_random_model(folder, shape, vocabulary=max(300, len(entries) + 6), eos_id=1, pad_id=0, seed=1)
    return folder


@pytest.fixture
def benchmark_files(tmp_path: Path) -> Callable[..., Path]:
    """Writes files of other problems under the benchmarks' names."""

    def write(**answers: list[str]) -> Path:
        folder = tmp_path / "benchmarks"
        folder.mkdir(exist_ok=True)
        for name, golds in answers.items():
            rows = [
                {"id": f"{name}-{i}", "problem": f"Problem {i}?", "answer": a} for i, a in enumerate(golds)
            ]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / BENCHMARKS[name].file).write_text(text, encoding="utf-8")
        return folder

    return write
