"""Tiny models that state what the published ones state, with a small tokenizer of the Qwen2 kind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefix_rft.data.scratch import train_scratch_tokenizer
from prefix_rft.local.initial import write_random_model
from prefix_rft.settings import Architecture

MakeModel = Callable[..., Path]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_scratch_tokenizer([f"What is {n} + {n}? It is {2 * n}." for n in range(30)], 280, folder)
    return folder


@pytest.fixture
def published(tmp_path: Path, tokenizer_folder: Path) -> MakeModel:
    """Make a model as Qwen2.5-Math is published: 4096 positions, rope_theta 10000; entries of config.json to change."""

    def make(name: str = "published", **config: Any) -> Path:
        folder = tmp_path / name
        shape = Architecture(
            hidden_size=16,
            layers=1,
            heads=2,
            key_value_heads=1,
            intermediate_size=16,
            max_positions=4096,
            rope_theta=1e4,
        )
        write_random_model(folder, shape, vocabulary=280, eos_id=7, pad_id=7, seed=0)
        for file in tokenizer_folder.iterdir():
            shutil.copy(file, folder)
        edit(folder / "config.json", **config)
        edit(folder / "generation_config.json", max_new_tokens=2048)
        return folder

    return make


@pytest.fixture(name="edit")
def edit_fixture() -> Callable[..., None]:
    """`edit(file, entry=value)` changes a JSON file."""
    return edit


def edit(file: Path, **entries: Any) -> None:
    """Change entries of a JSON file; None takes one out."""
    whole = {**json.loads(file.read_text()), **entries}
    file.write_text(json.dumps({key: value for key, value in whole.items() if value is not None}))
