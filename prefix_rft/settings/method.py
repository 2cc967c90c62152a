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


class Clipping(Settings):
    """Which tokens of an optimizer mini-batch keep their weight (Prefix-RFT, section 3.3 and A.2)."""

    keep: float = Field(0.2, ge=0, le=1)
    """Share of the tokens that keeps its weight; 1 updates all of them, 0 none."""
    select: Literal["highest", "lowest", "random"] = "highest"
    """Which share: the tokens of highest or lowest entropy, or a keyed random choice."""


class RftMethod(_Rollouts):
    """Reinforcement fine-tuning with Dr.GRPO: all rollouts are ordinary."""

    name: Literal["rft"] = "rft"
    clipping: Clipping = Clipping(keep=1.0)
    """Which explored tokens are updated; fewer than all is the on-policy control of Prefix-RFT, Table 8."""


class SftRftMethod(_Rollouts):
    """SFT, then RFT from its last checkpoint."""

    name: Literal["sft_rft"] = "sft_rft"


class RlSftLossMethod(_Rollouts):
    """RL with an SFT loss: N - 1 ordinary rollouts, and the demonstration as one more row that is imitated."""

    name: Literal["rl_sft_loss"] = "rl_sft_loss"
    coefficient: float = Field(1.0, gt=0)
    """Weight of the SFT loss (mean over the demonstration tokens of a mini-batch) beside the RL loss."""


class LuffyMethod(_Rollouts):
    """LUFFY (arXiv 2504.14945): the demonstration stands in the group as an off-policy rollout."""

    name: Literal["luffy"] = "luffy"
    shaping: float = Field(0.1, gt=0)
    """gamma of policy shaping, f(p) = p / (p + gamma): smaller lifts unlikely tokens more."""
    clip_explored: bool = False
    """Keep the PPO clip on explored tokens; LUFFY removes it."""


class ReliftMethod(_Rollouts):
    """ReLIFT (arXiv 2506.07527): RL, interleaved with SFT on questions that no rollout solved."""

    name: Literal["relift"] = "relift"
    buffer: int = Field(128, ge=1)
    """Unsolved questions that are collected before one SFT step takes them all."""
    learning_rate: float = Field(1e-6, gt=0)
    """Learning rate of the SFT steps, constant; they have an optimizer of their own."""
    max_grad_norm: float = Field(0.7, gt=0)
    """The gradient of an SFT step is scaled down to this norm where it is longer."""


class UftMethod(_Rollouts):
    """UFT (arXiv 2505.16984): all rollouts continue one hint, whose likelihood is raised by a constant weight."""

    name: Literal["uft"] = "uft"
    parts: int = Field(5, ge=1)
    """Equal parts of the demonstration; a hint is the first k of them."""
    hint: Literal["cosine", "stage", "uniform"] = "cosine"
    """How k is chosen: binomial, its probability falling by a cosine; one part fewer a stage; all equally often."""
    start: float = Field(0.95, gt=0, le=1)
    """Probability of each part at the first rollout step (hint=cosine only)."""
    end: float = Field(0.05, ge=0, le=1)
    """Probability of each part at the end of the decay (hint=cosine only)."""
    decay_fraction: float = Field(0.6, gt=0, le=1)
    """Share of the run's rollout steps that has hints; afterwards all rollouts are ordinary."""
    coefficient: float = Field(0.001, ge=0)
    """Weight of the hint's mean log-likelihood."""

    @model_validator(mode="after")
    def shrinks(self) -> Self:
        if self.end >= self.start:
            raise ValueError(f"hints shrink: end={self.end} must be below start={self.start}")
        return self


class DrPoMethod(_Rollouts):
    """DR-PO as a control (Prefix-RFT, Table 8): all rollouts continue one prefix, which is not in the loss."""

    name: Literal["dr_po"] = "dr_po"
    schedule: PrefixSchedule = CosinePrefix()
    """How the offered share of the demonstration moves with the rollout step."""
    min_prefix_tokens: int = Field(1, ge=1)
    """Shortest prefix in tokens."""


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
    """Which imitated tokens are updated; keep=0 freezes the prefix."""
    static_weight: float | None = Field(None, gt=0)
    """Weight of the updated imitated tokens in place of their advantage; null takes the advantage."""
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
    SftMethod
    | RftMethod
    | SftRftMethod
    | RlSftLossMethod
    | LuffyMethod
    | ReliftMethod
    | UftMethod
    | DrPoMethod
    | PrefixRftMethod,
    Field(discriminator="name"),
]


def phases(method: MethodSettings) -> set[str]:
    """The phases of optimisation that a method's weights pass through, its predecessor's included."""
    if isinstance(method, SftMethod):
        return {"sft"}
    return {"sft", "rl"} if isinstance(method, SftRftMethod) else {"rl"}
