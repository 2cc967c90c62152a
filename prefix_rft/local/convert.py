"""A folder in the Hugging Face layout to and from the fast model, without model classes of `transformers`.

Importing `transformers.Qwen2ForCausalLM` costs 130 MB of memory; the files themselves are two JSON texts and
a table of tensors. Rows of queries and keys are kept in another order here (see `interleave`): a permutation,
so that a round trip keeps every bit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from prefix_rft.errors import CheckpointError, TrainingError

Config = dict[str, Any]
State = dict[str, Tensor]

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_FAMILIES = ("llama", "qwen2")


@dataclass(frozen=True)
class Shape:
    """What the fast model needs to know of a configuration."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    inner: int
    """Width of the feed-forward part."""
    rope_theta: float
    norm_eps: float
    max_positions: int
    qkv_bias: bool
    tied: bool
    """Input and output embeddings are one matrix."""

    @classmethod
    def of(cls, config: Config) -> Shape:
        """The shape that a config.json states (see `covers` first)."""
        heads = config["num_attention_heads"]
        return cls(
            vocabulary=config["vocab_size"],
            width=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            key_value_heads=config.get("num_key_value_heads") or heads,
            head_size=config.get("head_dim") or config["hidden_size"] // heads,
            inner=config["intermediate_size"],
            rope_theta=float(_rope(config).get("rope_theta") or config.get("rope_theta") or 10000.0),
            norm_eps=config.get("rms_norm_eps", 1e-6),
            max_positions=config["max_position_embeddings"],
            qkv_bias=config["model_type"] == "qwen2",
            tied=bool(config.get("tie_word_embeddings", False)),
        )

    @property
    def parameters(self) -> int:
        """Number of weights."""
        qkv = (self.heads + 2 * self.key_value_heads) * self.head_size
        block = qkv * (self.width + self.qkv_bias) + self.heads * self.head_size * self.width
        block += 3 * self.inner * self.width + 2 * self.width
        return self.layers * block + self.width + self.vocabulary * self.width * (1 if self.tied else 2)


def covers(config: Config) -> str | None:
    """Why the fast model cannot run this configuration; None where it can."""
    family = config.get("model_type")
    if family not in _FAMILIES:
        return f"model_type={family} (covered: {', '.join(_FAMILIES)})"
    rope_kind = _rope(config).get("rope_type") or _rope(config).get("type") or "default"
    rotated = _rope(config).get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1.0
    head_size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    windowed = config.get("use_sliding_window") or "sliding_attention" in (config.get("layer_types") or ())
    refusals = {
        f"rope type {rope_kind}": rope_kind != "default",
        "partial rotary embedding": rotated != 1.0,
        f"odd head size {head_size}": head_size % 2,
        "sliding window attention": windowed,
        "attention_bias=true": config.get("attention_bias"),
        "mlp_bias=true": config.get("mlp_bias"),
        f"hidden_act={config.get('hidden_act')}": config.get("hidden_act", "silu") != "silu",
        "quantised weights": config.get("quantization_config"),
    }
    return next((reason for reason, applies in refusals.items() if applies), None)


def stop_ids(config: Config, generation_config: Config) -> tuple[int, ...]:
    """Token ids that end a response; generation_config.json goes before config.json."""
    named = generation_config.get("eos_token_id")
    named = config.get("eos_token_id") if named is None else named
    if named is None:
        return ()
    return tuple(named) if isinstance(named, list | tuple) else (named,)


def read_config(source: str | Path, revision: str | None = None) -> Config:
    """The config.json of a folder, or of a name on the hub."""
    if Path(source).is_dir():
        return _read_json(Path(source) / "config.json")
    return _read_json(_from_hub(str(source), revision, ["config.json"]) / "config.json")


def find_folder(source: str | Path, revision: str | None = None) -> Path:
    """The folder itself, or that of the files downloaded from the hub."""
    if Path(source).is_dir():
        return Path(source)
    return _from_hub(str(source), revision, ["*.json", "*.safetensors"])


def read_folder(folder: Path) -> tuple[Config, Config, State]:
    """config.json, generation_config.json (empty where there is none) and the weights.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    generation = folder / "generation_config.json"
    state: State = {}
    for path in _weight_files(folder):
        try:
            state |= load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}); take an earlier checkpoint") from error
    return _read_json(folder / "config.json"), _read_json(generation) if generation.is_file() else {}, state


def write_folder(folder: Path, config: Config, generation_config: Config, state: State) -> None:
    """Write the three files of a checkpoint; OSError where the disk refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        save_file(
            {name: tensor.contiguous() for name, tensor in state.items()}, folder / _WEIGHTS, {"format": "pt"}
        )
    except SafetensorError as error:
        raise OSError(f"{folder / _WEIGHTS}: {error}") from error
    for name, content in (("config.json", config), ("generation_config.json", generation_config)):
        (folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def fuse(state: State, shape: Shape) -> State:
    """Weights of a Hugging Face folder under the fast model's names, in float32.

    Raises:
        CheckpointError: weights are missing, superfluous, or of another size than the configuration says.
    """
    rest = {
        name: tensor.float() for name, tensor in state.items() if not name.endswith("rotary_emb.inv_freq")
    }
    if shape.tied:
        rest.pop("lm_head.weight", None)
    try:
        fused = {"embedding": rest.pop("model.embed_tokens.weight"), "norm": rest.pop("model.norm.weight")}
        if not shape.tied:
            fused["head"] = rest.pop("lm_head.weight")
        for layer in range(shape.layers):
            block = _fuse_block(rest, f"model.layers.{layer}.", shape)
            fused |= {f"blocks.{layer}.{name}": tensor for name, tensor in block.items()}
    except KeyError as error:
        raise CheckpointError(f"{_WEIGHTS} lacks {error.args[0]}, which config.json asks for") from None
    if rest:
        raise CheckpointError(
            f"{_WEIGHTS} holds {min(rest)} and {len(rest) - 1} more weights unknown to config.json"
        )
    return fused


def unfuse(fused: State, shape: Shape) -> State:
    """The inverse of `fuse`, bit for bit."""
    state = {"model.embed_tokens.weight": fused["embedding"], "model.norm.weight": fused["norm"]}
    if not shape.tied:
        state["lm_head.weight"] = fused["head"]
    for layer in range(shape.layers):
        here = f"blocks.{layer}."
        block = {name.removeprefix(here): tensor for name, tensor in fused.items() if name.startswith(here)}
        state |= {
            f"model.layers.{layer}.{name}": tensor for name, tensor in _unfuse_block(block, shape).items()
        }
    return state


def interleave(rows: Tensor, head_size: int) -> Tensor:
    """Rows of each head in the order 0, s/2, 1, s/2 + 1, ...

    The rotary embedding turns rows i and i + s/2 together; side by side they are one complex number.
    """
    return rows.view(-1, 2, head_size // 2, *rows.shape[1:]).transpose(1, 2).flatten(0, 2)


def deinterleave(rows: Tensor, head_size: int) -> Tensor:
    """The inverse of `interleave`."""
    return rows.view(-1, head_size // 2, 2, *rows.shape[1:]).transpose(1, 2).flatten(0, 2)


def _fuse_block(rest: State, prefix: str, shape: Shape) -> State:
    def take(name: str) -> Tensor:
        return rest.pop(prefix + name)

    def take_qkv(kind: str) -> Tensor:
        q, k, v = (take(f"self_attn.{letter}_proj.{kind}") for letter in "qkv")
        return torch.cat([interleave(q, shape.head_size), interleave(k, shape.head_size), v])

    block = {
        "attention_norm": take("input_layernorm.weight"),
        "qkv": take_qkv("weight"),
        "out": take("self_attn.o_proj.weight"),
        "feed_norm": take("post_attention_layernorm.weight"),
        "gate_up": torch.cat([take("mlp.gate_proj.weight"), take("mlp.up_proj.weight")]),
        "down": take("mlp.down_proj.weight"),
    }
    return block | ({"qkv_bias": take_qkv("bias")} if shape.qkv_bias else {})


def _unfuse_block(block: State, shape: Shape) -> State:
    sizes = [count * shape.head_size for count in (shape.heads, shape.key_value_heads, shape.key_value_heads)]
    gate, up = block["gate_up"].chunk(2)
    state = {
        "input_layernorm.weight": block["attention_norm"],
        "self_attn.o_proj.weight": block["out"],
        "post_attention_layernorm.weight": block["feed_norm"],
        "mlp.gate_proj.weight": gate,
        "mlp.up_proj.weight": up,
        "mlp.down_proj.weight": block["down"],
    }
    for kind, fused in (("weight", block["qkv"]), ("bias", block.get("qkv_bias"))):
        if fused is not None:
            q, k, v = torch.split(fused, sizes)
            state[f"self_attn.q_proj.{kind}"] = deinterleave(q, shape.head_size)
            state[f"self_attn.k_proj.{kind}"] = deinterleave(k, shape.head_size)
            state[f"self_attn.v_proj.{kind}"] = v
    return state


def _rope(config: Config) -> Config:
    found: Config = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return found


def _read_json(path: Path) -> Config:
    try:
        content: Config = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{path} is not there: {path.parent} is no model folder") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); take an earlier checkpoint") from None
    return content


def _weight_files(folder: Path) -> list[Path]:
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    if (folder / _INDEX).is_file():
        return [folder / name for name in sorted(set(_read_json(folder / _INDEX)["weight_map"].values()))]
    raise CheckpointError(f"{folder} holds neither {_WEIGHTS} nor {_INDEX}")


def _from_hub(name: str, revision: str | None, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise TrainingError(
            f"model {name!r} is neither a folder here nor reachable on the hub ({type(error).__name__}). "
            "Give the path of a folder that holds config.json and model.safetensors"
        ) from None
