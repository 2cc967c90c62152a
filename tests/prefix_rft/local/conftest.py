"""Folders of tiny random models, made without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from prefix_rft.local.initial import write_random_model
from prefix_rft.settings import Architecture

ModelFolder = Callable[..., Path]


@pytest.fixture
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Make a folder with a random model; every weight is disturbed, so that no gain is 1 and no bias 0."""

    def make(*, vocabulary: int = 13, eos_id: int = 1, seed: int = 0, **shape: object) -> Path:
        folder = tmp_path_factory.mktemp("model")
        architecture = Architecture.model_validate({"hidden_size": 32, "intermediate_size": 48, **shape})
        write_random_model(folder, architecture, vocabulary=vocabulary, eos_id=eos_id, pad_id=0, seed=seed)
        random = torch.Generator().manual_seed(seed)
        state = load_file(folder / "model.safetensors")
        noisy = {name: w + 0.1 * torch.randn(w.shape, generator=random) for name, w in state.items()}
        save_file(noisy, folder / "model.safetensors", {"format": "pt"})
        return folder

    return make


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
