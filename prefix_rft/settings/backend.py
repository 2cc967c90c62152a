"""Settings of where and how the computation runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from prefix_rft.settings.base import Settings


class LocalBackend(Settings):
    """The embedded trainer: one process, one device."""

    kind: Literal["local"] = "local"
    device: str = "cpu"
    """A PyTorch device: cpu, cuda, cuda:1."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the model; the optimizer keeps its state and its own copy of the weights in float32."""
    fast_path: Literal["auto", "on", "off"] = "auto"
    """The rewritten small-model path: where the architecture allows, always (or refuse), never."""
    micro_batch_tokens: int = Field(16384, ge=1)
    """Token budget (rows times longest row) of one forward and backward pass."""
    generation_batch: int = Field(512, ge=1)
    """Most rows decoded together."""
    logits_budget: int = Field(1 << 24, ge=1)
    """Most logits (tokens times vocabulary) that exist at once in an update."""
    skip_zero_weight_rows: bool = True
    """Leave out rows whose tokens all weigh zero; exact only without an entropy bonus."""
    keep_checkpoints: int = Field(2, ge=1)
    """Checkpoints kept, the newest ones; the last of a finished run always stays."""


BackendSettings = LocalBackend
