"""The dataset that verl is told to read (`data.custom_cls`): our questions, whatever their tokens' template was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from prefix_rft.verl_backend.parquet import read_questions


class QuestionDataset(Dataset[dict[str, Tensor]]):
    """verl counts it and asks for nothing else: the trainer takes `questions` in our order."""

    def __init__(
        self,
        data_files: str | Sequence[str],
        tokenizer: Any,
        config: Any,
        processor: Any = None,
        max_samples: int = -1,
    ) -> None:
        """Read the files that `write_questions` wrote; the other arguments are verl's and have no part in it."""
        files = [data_files] if isinstance(data_files, str) else data_files
        self.questions = [question for file in files for question in read_questions(Path(file))]

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"index": torch.tensor(index)}
