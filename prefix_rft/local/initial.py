"""Randomly initialised models in the Hugging Face layout, written without loading transformers' model classes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prefix_rft import keyed
from prefix_rft.settings import Architecture

_STD = 0.1
"""Standard deviation of the weights at width 64; wider models get less (1 / sqrt(width))."""
_CLASSES = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}


def write_random_model(
    folder: Path, architecture: Architecture, *, vocabulary: int, eos_id: int, pad_id: int, seed: int
) -> None:
    """Write config.json, generation_config.json and model.safetensors of a random model.

    The projections that write into the residual stream start smaller by sqrt(2 * layers) (GPT-2's rule).
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    ends = {"eos_token_id": eos_id, "pad_token_id": pad_id}
    _write(folder / "config.json", {**_config(architecture, vocabulary), **ends})
    _write(folder / "generation_config.json", {"do_sample": True, **ends})
    save_file(
        _weights(architecture, vocabulary, seed), folder / "model.safetensors", metadata={"format": "pt"}
    )


def _config(a: Architecture, vocabulary: int) -> dict[str, Any]:
    return {
        "architectures": [_CLASSES[a.family]],
        "model_type": a.family,
        "vocab_size": vocabulary,
        "hidden_size": a.hidden_size,
        "intermediate_size": a.intermediate_size,
        "num_hidden_layers": a.layers,
        "num_attention_heads": a.heads,
        "num_key_value_heads": a.key_value_heads,
        "max_position_embeddings": a.max_positions,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": a.rope_theta,
        "tie_word_embeddings": a.tie_embeddings,
        "bos_token_id": None,
        "dtype": "float32",
    }


def _weights(a: Architecture, vocabulary: int, seed: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(keyed.key("initial", seed) >> 1)
    std = _STD * math.sqrt(64 / a.hidden_size)
    inner = std / math.sqrt(2 * a.layers)

    def normal(rows: int, columns: int, scale: float) -> Tensor:
        return torch.randn(rows, columns, generator=random) * scale

    width, heads_width = a.hidden_size, a.hidden_size // a.heads * a.key_value_heads
    weights = {
        "model.embed_tokens.weight": normal(vocabulary, width, std),
        "model.norm.weight": torch.ones(width),
    }
    if not a.tie_embeddings:
        weights["lm_head.weight"] = normal(vocabulary, width, std)
    for layer in range(a.layers):
        name = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{name}{norm}.weight"] = torch.ones(width)
        for part, rows in (("q", width), ("k", heads_width), ("v", heads_width)):
            weights[f"{name}self_attn.{part}_proj.weight"] = normal(rows, width, std)
            if a.family == "qwen2":
                weights[f"{name}self_attn.{part}_proj.bias"] = torch.zeros(rows)
        weights[f"{name}self_attn.o_proj.weight"] = normal(width, width, inner)
        for part in ("gate", "up"):
            weights[f"{name}mlp.{part}_proj.weight"] = normal(a.intermediate_size, width, std)
        weights[f"{name}mlp.down_proj.weight"] = normal(width, a.intermediate_size, inner)
    return weights


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
