"""Settings of the model that training starts from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prefix_rft.settings.base import Settings


class Architecture(Settings):
    """Shape of a small randomly initialised causal language model."""

    family: Literal["qwen2", "llama"] = "qwen2"
    """Architecture of `transformers`."""
    hidden_size: int = Field(64, ge=8)
    """Width."""
    layers: int = Field(2, ge=1)
    """Transformer blocks."""
    heads: int = Field(4, ge=1)
    """Attention heads."""
    key_value_heads: int = Field(4, ge=1)
    """Heads of keys and values (grouped-query attention where fewer than `heads`)."""
    intermediate_size: int = Field(128, ge=8)
    """Width of the feed-forward part."""
    max_positions: int = Field(128, ge=8)
    """Longest sequence, prompt and response together."""
    rope_theta: float = Field(100.0, gt=1)
    """Base of the rotary position embedding; small, since these models read short sequences."""
    tie_embeddings: bool = True
    """Share input and output embeddings."""

    @model_validator(mode="after")
    def divisible(self) -> Self:
        if self.hidden_size % self.heads or self.heads % self.key_value_heads:
            raise ValueError(
                f"hidden_size={self.hidden_size} must be a multiple of heads={self.heads}, "
                f"and heads a multiple of key_value_heads={self.key_value_heads}"
            )
        if (self.hidden_size // self.heads) % 2:
            raise ValueError("rotary embeddings need an even head dimension (hidden_size / heads)")
        return self


class TinyModel(Settings):
    """A tiny model for the embedded task, trained by the suite itself before anything else.

    First single operations and then chains solved mostly one operation a step (the skill); then chains in the base's
    own habit of jumping two operations at a time (which hides the skill).
    """

    kind: Literal["tiny"] = "tiny"
    architecture: Architecture = Architecture()
    """Shape."""
    base_seed: int = 0
    """Seed of initialisation and of the base training; another seed is another base model."""
    attempts: int = Field(3, ge=1)
    """Times that the schooling is begun, from other weights, before a seed that does not learn is refused."""
    single_steps: int = Field(500, ge=0)
    """Most optimizer steps on single operations; ends once learnt."""
    skill_steps: int = Field(500, ge=0)
    """Most optimizer steps on chains solved `skill_stepwise` of the time one operation a step; ends once learnt."""
    polish_steps: int = Field(150, ge=0)
    """Optimizer steps on the same chains with a falling learning rate."""
    polish_wordy: float = Field(0.0, ge=0, le=1)
    """Share of the solutions of the polish that have the expert's fillers (data with fillers only)."""
    skill_stepwise: float = Field(0.95, ge=0, le=1)
    """Share of one-operation steps while the skill is learnt; the rest are jumps of two."""
    habit_steps: int = Field(60, ge=0)
    """Optimizer steps on chains in the base's habit."""
    habit_stepwise: float = Field(0.01, ge=0, le=1)
    """Share of one-operation steps in the habit; near 0 hides the skill, larger leaves it weakly visible."""
    habit_guessed: float = Field(0.0, ge=0, le=1)
    """Share of the habit's jumps whose result is a guess; at 0 some bases learn to jump well."""


class ScratchModel(Settings):
    """A randomly initialised model with a byte-level BPE tokenizer trained on the data: for trials of real data."""

    kind: Literal["scratch"] = "scratch"
    architecture: Architecture = Architecture(max_positions=2048, rope_theta=10000.0)
    """Shape."""
    base_seed: int = 0
    """Seed of initialisation."""
    vocabulary: int = Field(1024, ge=300)
    """Entries of the tokenizer trained on the data set."""


class PretrainedModel(Settings):
    """Any causal language model that `transformers` loads."""

    kind: Literal["pretrained"] = "pretrained"
    path: str
    """A folder in the Hugging Face layout, or a name on the hub."""
    source: str | None = None
    """The published model that `prefix-rft prepare-model` makes `path` from; plans and errors name it."""
    revision: str | None = None
    """Commit, tag or branch on the hub."""
    template: Literal["tokenizer", "plain"] = "tokenizer"
    """tokenizer: its chat template; plain: the messages' text joined by new lines, nothing added."""
    trust_remote_code: bool = False
    """Run code that the model's repository ships; off unless asked for."""


ModelSettings = Annotated[TinyModel | ScratchModel | PretrainedModel, Field(discriminator="kind")]
