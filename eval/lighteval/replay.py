"""A lighteval model that says again what a model has said: the responses of samples.parquet.

    PREFIX_RFT_SAMPLES=<samples.parquet> lighteval custom <name> eval/lighteval/replay.py "prefix_rft:aime24|0" \
        --custom-tasks eval/lighteval_tasks.py --no-remove-reasoning-tags

Runs in lighteval's environment: lighteval, pyarrow and the standard library. PREFIX_RFT_SAMPLES names one file with
columns question_id, sample, response, or a folder with such a file for each task: <task>.parquet.
"""

# mypy: disable-error-code="import-not-found", allow-subclassing-any

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.parquet as pq
from lighteval.models.abstract_model import LightevalModel, ModelConfig
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.requests import Doc

SAMPLES_VARIABLE = "PREFIX_RFT_SAMPLES"


class NoCache:
    """Stands where a model keeps its cache of responses.

    lighteval's own is found again by the model's name alone: other samples under the same name would be scored as the
    old ones.
    """

    def _init_registry(self, registry: Any) -> None:
        """Nothing is cached, so no task needs a name in a cache."""


class Replay(LightevalModel):
    """Answers each document with the stored responses to its problem, in the order of the samples."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._cache = NoCache()
        self._path = Path(os.environ[SAMPLES_VARIABLE])
        self._responses: dict[Path, dict[str, list[str]]] = {}

    def greedy_until(self, docs: list[Doc]) -> list[ModelResponse]:
        """As many responses as each document asks for.

        Raises:
            ValueError: there are fewer, or none.
        """
        return [ModelResponse(input=doc.query, text=self._texts(doc)) for doc in docs]

    def _texts(self, doc: Doc) -> list[str]:
        path, problem = self._file(doc), doc.specific["problem_id"]
        if path not in self._responses:
            self._responses[path] = _read(path)
        texts = self._responses[path].get(problem, [])
        if len(texts) < doc.num_samples:
            raise ValueError(
                f"{path} holds {len(texts)} responses to {problem!r}, {doc.task_name} wants {doc.num_samples}; "
                "set `samples` in PREFIX_RFT_PROTOCOL to the number there is"
            )
        return texts[: doc.num_samples]

    def _file(self, doc: Doc) -> Path:
        name = doc.task_name.split("|")[0].split(":")[-1]
        return self._path / f"{name}.parquet" if self._path.is_dir() else self._path

    @property
    def tokenizer(self) -> NoReturn:
        """None: texts are replayed."""
        raise NotImplementedError("a replay has no tokenizer")

    @property
    def add_special_tokens(self) -> bool:
        """No tokens, none special."""
        return False

    @property
    def max_length(self) -> int:
        """No text is cut."""
        return 1 << 30

    def loglikelihood(self, docs: list[Doc]) -> NoReturn:
        """Samples hold texts, no probabilities."""
        raise NotImplementedError("samples hold no log-likelihoods of options; use a task that generates")

    def loglikelihood_rolling(self, docs: list[Doc]) -> NoReturn:
        """Samples hold texts, no probabilities."""
        raise NotImplementedError("samples hold no log-likelihoods of texts; use a task that generates")


def _read(path: Path) -> dict[str, list[str]]:
    """Responses by problem, in the order of the samples."""
    table = pq.read_table(path, columns=["question_id", "sample", "response"])
    table = table.sort_by([("question_id", "ascending"), ("sample", "ascending")])
    responses: dict[str, list[str]] = {}
    for problem, response in zip(
        table["question_id"].to_pylist(), table["response"].to_pylist(), strict=True
    ):
        responses.setdefault(problem, []).append(response)
    return responses
