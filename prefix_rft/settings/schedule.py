"""How much of a demonstration is offered as a prefix, as a function of the rollout step."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prefix_rft.settings.base import Settings


class _Range(Settings):
    """The share of the demonstration is drawn from Beta(a, b) mapped onto [low(step), high]."""

    high: float = Field(0.95, gt=0, le=1)
    """Upper end of the drawn share of the demonstration's tokens (Prefix-RFT, appendix A.2)."""
    beta_a: float = Field(1.0, gt=0)
    """First parameter of the Beta distribution; Beta(1, 1) is the uniform of the paper."""
    beta_b: float = Field(1.0, gt=0)
    """Second parameter of the Beta distribution."""


class _Decay(_Range):
    """Common to the schedules whose lower end moves."""

    start: float = Field(0.95, gt=0, le=1)
    """Lower end at the first rollout step (after warm-up and delay)."""
    end: float = Field(0.05, ge=0, le=1)
    """Lower end at the last rollout step."""
    decay_fraction: float = Field(1.0, gt=0, le=1)
    """Share of the run's rollout steps over which the lower end moves from `start` to `end`."""
    warmup_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of the run's rollout steps over which the lower end rises linearly from 0 to `start`."""
    delay_steps: int = Field(0, ge=0)
    """Rollout steps before the schedule begins; until then the lower end stays where it starts."""

    @model_validator(mode="after")
    def shrinks(self) -> Self:
        if self.end >= self.start:
            raise ValueError(f"a decaying prefix shrinks: end={self.end} must be below start={self.start}")
        if self.start > self.high:
            raise ValueError(f"start={self.start} must not exceed high={self.high}")
        return self


class CosinePrefix(_Decay):
    """The paper's schedule: the lower end falls along half a cosine."""

    kind: Literal["cosine"] = "cosine"


class LinearPrefix(_Decay):
    """The lower end falls along a straight line."""

    kind: Literal["linear"] = "linear"


class UniformPrefix(_Range):
    """The lower end stays where it is throughout (the paper's `uniform` ablation)."""

    kind: Literal["uniform"] = "uniform"
    low: float = Field(0.05, ge=0, le=1)
    """Lower end of the drawn share."""

    @model_validator(mode="after")
    def ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low={self.low} must not exceed high={self.high}")
        return self


class ConstantPrefix(Settings):
    """Always the same share of the demonstration."""

    kind: Literal["constant"] = "constant"
    share: float = Field(0.5, gt=0, le=1)
    """Share of the demonstration's tokens offered at every step."""


PrefixSchedule = Annotated[
    CosinePrefix | LinearPrefix | UniformPrefix | ConstantPrefix, Field(discriminator="kind")
]
