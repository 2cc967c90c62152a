"""Folders of tiny random models, made without a network; the embedded task at its smallest; chance as a grader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from prefix_rft import keyed
from prefix_rft.data import load
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.data.encode import encode_questions
from prefix_rft.grading.grader import Grader
from prefix_rft.grading.verdict import Grade
from prefix_rft.local.initial import write_random_model
from prefix_rft.rollout import QuestionTokens
from prefix_rft.settings import Architecture, ChainData, GradingSettings, RunConfig, parse

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


class CoinGrader(Grader):
    """Verdicts by keyed chance: the same response to the same answer is always graded alike."""

    def __init__(self, correct: float = 0.4) -> None:
        super().__init__(GradingSettings(verifier="exact"))
        self.correct = correct

    def grade(
        self, pairs: Sequence[tuple[str, str]], progress: Callable[[int], None] | None = None
    ) -> list[Grade]:
        return [
            Grade(keyed.share("coin", gold, response) < self.correct, "ok", response)
            for gold, response in pairs
        ]


@dataclass(frozen=True)
class ChainTask:
    """The embedded task at its smallest, and an untrained model of 4,000 parameters that speaks it."""

    model: Path
    data: ChainData
    encoder: ChainEncoder
    questions: list[QuestionTokens]
    """The training questions."""

    def config(self, name: str = "prefix_rft", **sections: Any) -> RunConfig:
        """A run by the method of that name; whole sections of the settings by keyword."""
        rollouts = {} if name == "sft" else {"rollouts": 4}
        values = {
            "method": {"name": name, **rollouts},
            "model": {"kind": "pretrained", "path": str(self.model)},
            "data": self.data.model_dump(),
            "optimisation": {
                "sft": {"questions_per_step": 6, "epochs": 1, "learning_rate": 1e-2},
                "rl": {"questions_per_step": 6, "steps": 6, "learning_rate": 1e-2},
            },
        }
        return parse(RunConfig, values | sections)


@pytest.fixture(scope="session")
def chain_task(tmp_path_factory: pytest.TempPathFactory) -> ChainTask:
    """Two operations a question, 32 training questions."""
    folder, encoder = tmp_path_factory.mktemp("chain_model"), ChainEncoder(4)
    data = ChainData(
        max_response_tokens=20,
        min_operations=2,
        max_operations=2,
        train_questions=32,
        validation_questions=8,
        test_questions=8,
    )
    write_random_model(
        folder,
        Architecture(hidden_size=16, layers=1, heads=2, key_value_heads=2, intermediate_size=32),
        vocabulary=encoder.vocabulary_size,
        eos_id=encoder.eos_id,
        pad_id=encoder.pad_id,
        seed=0,
    )
    encoder.save(folder)
    questions = encode_questions(load(data).train, encoder, data).questions
    return ChainTask(folder, data, encoder, list(questions))


@pytest.fixture
def coin() -> CoinGrader:
    """A grader that is right by chance."""
    return CoinGrader()
