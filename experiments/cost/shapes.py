"""How many parameters a model has, without loading it: what its FLOPs and its checkpoints are counted from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.settings import ChainData, RunConfig, ScratchModel, TinyModel


@dataclass(frozen=True)
class Shape:
    """A decoder of the Qwen and Llama families."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    intermediate: int
    vocabulary: int
    tied: bool
    """Input and output embeddings are one matrix."""
    head: int
    """Width of one attention head."""
    attention_bias: bool = True
    """Queries, keys and values have a bias (Qwen2)."""
    attention_norm: bool = False
    """Queries and keys are normalised (Qwen3)."""

    @property
    def parameters(self) -> int:
        """All weights, as in a checkpoint."""
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * self._layer + self.hidden

    @property
    def multiplied(self) -> int:
        """P: weights that every token is multiplied by; looking an embedding up costs nothing."""
        return self.vocabulary * self.hidden + self.layers * self._layer

    @property
    def attention_width(self) -> int:
        """Entries of a query, all heads and layers together."""
        return self.layers * self.heads * self.head

    @property
    def _layer(self) -> int:
        queries, keys = self.heads * self.head, self.key_value_heads * self.head
        projections = self.hidden * (2 * queries + 2 * keys)
        biases = queries + 2 * keys if self.attention_bias else 0
        norms = 2 * self.hidden + (2 * self.head if self.attention_norm else 0)
        return projections + biases + norms + 3 * self.hidden * self.intermediate


PUBLISHED = {
    "Qwen/Qwen2.5-Math-7B": Shape(3584, 28, 28, 4, 18944, 152064, tied=False, head=128),
    "Qwen/Qwen2.5-Math-1.5B": Shape(1536, 28, 12, 2, 8960, 151936, tied=True, head=128),
    "meta-llama/Llama-3.1-8B": Shape(
        4096, 32, 32, 8, 14336, 128256, tied=False, head=128, attention_bias=False
    ),
    "Qwen/Qwen3-1.7B-Base": Shape(
        2048, 28, 16, 8, 6144, 151936, tied=True, head=128, attention_bias=False, attention_norm=True
    ),
}
"""By name on the hub, from the config.json of each repository."""


def shape_of(config: RunConfig) -> Shape | None:
    """The shape of a configuration's model; None for a model on the hub that is not among `PUBLISHED`."""
    model = config.model
    if isinstance(model, TinyModel | ScratchModel):
        return _of_settings(config, model)
    file = Path(model.path) / "config.json"
    return (
        _of_file(json.loads(file.read_text()))
        if file.is_file()
        else PUBLISHED.get(model.source or model.path)
    )


def _of_settings(config: RunConfig, model: TinyModel | ScratchModel) -> Shape:
    size = model.architecture
    return Shape(
        hidden=size.hidden_size,
        layers=size.layers,
        heads=size.heads,
        key_value_heads=size.key_value_heads,
        intermediate=size.intermediate_size,
        vocabulary=_vocabulary(config, model),
        tied=size.tie_embeddings,
        head=size.hidden_size // size.heads,
        attention_bias=size.family == "qwen2",
    )


def _vocabulary(config: RunConfig, model: TinyModel | ScratchModel) -> int:
    if isinstance(model, ScratchModel):
        return model.vocabulary
    assert isinstance(config.data, ChainData), "a tiny model speaks only the embedded task"
    return ChainEncoder(config.data.modulus).vocabulary_size


def _of_file(values: dict[str, Any]) -> Shape:
    """From a config.json in the Hugging Face layout."""
    kind = str(values.get("model_type"))
    heads = int(values["num_attention_heads"])
    return Shape(
        hidden=int(values["hidden_size"]),
        layers=int(values["num_hidden_layers"]),
        heads=heads,
        key_value_heads=int(values.get("num_key_value_heads", heads)),
        intermediate=int(values["intermediate_size"]),
        vocabulary=int(values["vocab_size"]),
        tied=bool(values.get("tie_word_embeddings", False)),
        head=int(values.get("head_dim") or int(values["hidden_size"]) // heads),
        attention_bias=kind == "qwen2" or bool(values.get("attention_bias", False)),
        attention_norm=kind == "qwen3",
    )
