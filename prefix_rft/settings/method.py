"""Settings of the methods. Defaults are the paper's; an ablation states only its difference."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prefix_rft.settings.base import Settings
from prefix_rft.settings.schedule import CosinePrefix, PrefixSchedule

Baseline = Literal["reference", "reference_v2", "group"]


class SftMethod(Settings):
    """Supervised fine-tuning: every token of the demonstration is imitated with weight 1."""

    name: Literal["sft"] = "sft"


class _Rollouts(Settings):
    rollouts: int = Field(8, ge=2)
    """N: rollouts of one question in one rollout step."""
    divide_by_std: bool = False
    """Divide an advantage by its group's standard deviation (GRPO); false is Dr.GRPO (arXiv 2503.20783)."""


class RftMethod(_Rollouts):
    """Reinforcement fine-tuning with Dr.GRPO: all rollouts are ordinary."""

    name: Literal["rft"] = "rft"


class SftRftMethod(_Rollouts):
    """SFT, then RFT from its last checkpoint."""

    name: Literal["sft_rft"] = "sft_rft"


class Clipping(Settings):
    """Which imitated tokens of an optimizer mini-batch keep their weight (Prefix-RFT, section 3.3 and A.2)."""

    keep: float = Field(0.2, ge=0, le=1)
    """Share of the imitated tokens that keeps its weight; 1 updates all of them."""
    select: Literal["highest", "lowest", "random"] = "highest"
    """Which share: the tokens of highest or lowest entropy, or a keyed random choice."""


class PrefixRftMethod(_Rollouts):
    """Prefix-RFT (arXiv 2507.01679): hybrid rollouts continue a prefix of the demonstration."""

    name: Literal["prefix_rft"] = "prefix_rft"
    hybrid_rollouts: int = Field(1, ge=1)
    """How many of the N rollouts are hybrid, for a question that has a demonstration."""
    baseline: Baseline = "reference"
    """How the hybrid's advantage is centred; see "Advantage" in docs/method.md."""
    schedule: PrefixSchedule = CosinePrefix()
    """How the offered share of the demonstration moves with the rollout step."""
    min_prefix_tokens: int = Field(1, ge=1)
    """Shortest prefix in tokens."""
    clipping: Clipping = Clipping()
    """Which imitated tokens are updated."""
    clip_prefix: bool = False
    """Apply the PPO clip to the ratios of imitated tokens too."""

    @model_validator(mode="after")
    def groups_have_a_baseline(self) -> Self:
        if self.hybrid_rollouts > self.rollouts:
            raise ValueError(f"hybrid_rollouts={self.hybrid_rollouts} exceeds rollouts={self.rollouts}")
        if self.hybrid_rollouts == self.rollouts and self.baseline != "group":
            raise ValueError(
                f"baseline={self.baseline!r} needs an ordinary rollout, but hybrid_rollouts={self.hybrid_rollouts} "
                f"of rollouts={self.rollouts} leaves none; set baseline=group or fewer hybrid rollouts"
            )
        return self


MethodSettings = Annotated[
    SftMethod | RftMethod | SftRftMethod | PrefixRftMethod, Field(discriminator="name")
]
