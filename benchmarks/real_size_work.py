"""The work of the real-size benchmark: shapes of published models with random weights, a step's size and its cost."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefix_rft.settings import Architecture

VOCABULARY = 151_936
"""Of Qwen2.5 up to 3B."""
SHAPES = {
    "0.5B": Architecture(
        hidden_size=896, layers=24, heads=14, key_value_heads=2, intermediate_size=4864,
        max_positions=32_768, rope_theta=1e6,
    ),
    "1.5B": Architecture(
        hidden_size=1536, layers=28, heads=12, key_value_heads=2, intermediate_size=8960,
        max_positions=32_768, rope_theta=1e6,
    ),
    "small": Architecture(key_value_heads=2, max_positions=1024),
}  # fmt: skip
"""Qwen2.5-0.5B and Qwen2.5-1.5B by their config.json; small is for tests."""
SMALL_VOCABULARY = 2048


@dataclass(frozen=True)
class Size:
    """Rows of one step, all of the same length."""

    name: str
    questions: int
    rollouts: int
    prompt: int
    """Tokens."""
    response: int
    """Tokens."""
    micro_rows: int
    """Rows of one forward and backward pass."""
    given: bool
    """The responses are given, and the step is an update alone; else the policy writes them first."""

    @property
    def rows(self) -> int:
        """Responses of the step."""
        return self.questions * self.rollouts

    @property
    def tokens(self) -> int:
        """Tokens that the update sees, prompts included."""
        return self.rows * (self.prompt + self.response)


@dataclass(frozen=True)
class Work:
    """What every contestant does."""

    model: Path
    """Folder of the model and its tokenizer."""
    size: Size
    dtype: str
    """Precision of the forward and backward passes; weights and optimizer state are kept in float32."""
    device: str
    steps: int
    """Steps that count; one before them does not."""
    learning_rate: float = 1e-6


@dataclass(frozen=True)
class Cost:
    """One step."""

    generate: float
    """Seconds until the responses are there and rewarded; 0 where they are given."""
    update: float
    """Seconds from there to the end of the optimizer step."""
    cpu: float
    """Processor seconds of all threads, the whole step."""
    generate_peak_mb: float
    """Peak memory of that part, in megabytes: resident on a CPU, allocated on a GPU."""
    update_peak_mb: float

    @property
    def seconds(self) -> float:
        """The whole step."""
        return self.generate + self.update

    @property
    def peak_mb(self) -> float:
        """The whole step's."""
        return max(self.generate_peak_mb, self.update_peak_mb)


Play = Callable[[Work], list[Cost]]
"""Sets itself up, takes one step that does not count and then `steps` that do."""


def prompt_ids(work: Work, question: int) -> list[int]:
    """Token ids of a question; any will do, since the weights are random."""
    return _ids(f"prompt {question}", work.size.prompt)


def response_ids(work: Work, row: int) -> list[int]:
    """Token ids of a given response."""
    return _ids(f"response {row}", work.size.response)


def reward(row: int) -> float:
    """Every other response is right, so that no row's advantage is zero."""
    return float(row % 2)


def word(token: int) -> str:
    """The text of a token."""
    return f"t{token}"


def make_model(folder: Path, shape: str) -> Path:
    """Write random weights of that shape, and a tokenizer in which every id is a word."""
    from prefix_rft.local.initial import write_random_model

    vocabulary = SMALL_VOCABULARY if shape == "small" else VOCABULARY
    ends = {"pad_id": vocabulary - 2, "eos_id": vocabulary - 1}
    write_random_model(folder, SHAPES[shape], vocabulary=vocabulary, seed=0, **ends)
    _write_tokenizer(folder, vocabulary, **ends)
    return folder


def parameters(shape: str) -> int:
    """Weights of that shape, the tied embedding counted once."""
    a = SHAPES[shape]
    narrow = a.hidden_size // a.heads * a.key_value_heads
    attention = 2 * a.hidden_size**2 + 2 * a.hidden_size * narrow + a.hidden_size + 2 * narrow
    layer = attention + 3 * a.hidden_size * a.intermediate_size + 2 * a.hidden_size
    vocabulary = SMALL_VOCABULARY if shape == "small" else VOCABULARY
    return vocabulary * a.hidden_size + a.layers * layer + a.hidden_size


def update_operations(shape: str, size: Size) -> float:
    """Floating-point operations of forward and backward that the update cannot do without.

    Six a weight and token (Kaplan et al., arXiv 2001.08361), the output embedding for response tokens only, and causal
    attention. What is computed a second time, to save memory, is not counted.
    """
    a = SHAPES[shape]
    vocabulary = SMALL_VOCABULARY if shape == "small" else VOCABULARY
    head = vocabulary * a.hidden_size
    length = size.prompt + size.response
    attention = a.layers * 2 * a.hidden_size * (length + 1) / 2
    body = size.rows * length * (parameters(shape) - head + attention)
    return 6 * (body + size.rows * size.response * head)


def _ids(name: str, count: int) -> list[int]:
    chosen = random.Random(name)
    return [chosen.randrange(SMALL_VOCABULARY - 2) for _ in range(count)]


def _write_tokenizer(folder: Path, vocabulary: int, *, pad_id: int, eos_id: int) -> None:
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    words = {word(token): token for token in range(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=word(0)))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(word(token), special=True) for token in (pad_id, eos_id)])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": word(pad_id), "eos_token": word(eos_id),
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
