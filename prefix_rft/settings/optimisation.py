"""Settings of the optimizer and of the loss, for imitation (sft) and for reinforcement learning (rl)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from prefix_rft.settings.base import Settings

Aggregation = Literal["constant", "token_mean", "seq_mean_token_mean", "seq_mean_token_sum"]
OnNonfinite = Literal["stop", "skip"]


class _Phase(Settings):
    """Common to both phases."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""
    decay: Literal["constant", "cosine"] = "constant"
    """Learning rate after warm-up."""
    final_share: float = Field(0.0, ge=0, le=1)
    """Share of the peak learning rate reached at the last optimizer step (decay=cosine only)."""
    warmup_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of the optimizer steps over which the learning rate rises linearly from 0."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """AdamW's first moment."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """AdamW's second moment."""
    max_grad_norm: float = Field(1.0, gt=0)
    """The gradient is scaled down to this norm where it is longer."""
    questions_per_step: int = Field(128, ge=1)
    """Q: questions of one rollout step (of one optimizer step, for sft)."""
    validate_every: int = Field(0, ge=0)
    """Rollout steps between two looks at the validation split; 0 looks only at the end."""
    checkpoint_every: int = Field(50, ge=0)
    """Rollout steps between two checkpoints; 0 saves only the last."""


class SftPhase(_Phase):
    """Imitation of whole demonstrations."""

    learning_rate: float = Field(5e-5, gt=0)
    """Peak learning rate of AdamW."""
    decay: Literal["constant", "cosine"] = "cosine"
    """Learning rate after warm-up."""
    warmup_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the optimizer steps over which the learning rate rises linearly from 0."""
    epochs: int = Field(3, ge=1)
    """Passes over the questions that have a demonstration."""
    aggregation: Aggregation = "token_mean"
    """How token losses become the loss of a mini-batch."""


class RlPhase(_Phase):
    """Rollouts, rewards and policy-gradient updates."""

    steps: int = Field(500, ge=1)
    """S: rollout steps."""
    mini_batches: int = Field(2, ge=1)
    """Optimizer steps of one rollout step; each takes whole questions."""
    temperature: float = Field(1.0, gt=0)
    """Sampling temperature of rollouts."""
    aggregation: Aggregation = "constant"
    """constant: sum over tokens / C, mean over sequences (Dr.GRPO); the others by their usual names."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    """PPO: ratios below 1 - clip_low are clipped."""
    clip_high: float = Field(0.2, gt=0)
    """PPO: ratios above 1 + clip_high are clipped."""
    dual_clip: float = Field(3.0, gt=1)
    """Bound on the ratio for negative advantages (arXiv 1912.09729)."""
    entropy_coefficient: float = Field(0.0, ge=0)
    """Weight of an entropy bonus over explored tokens."""
    entropy_of: Literal["old", "current"] = "old"
    """Which policy's entropies select tokens: the one that made the rollouts, or the one being updated."""
    gradient_norms_every: int = Field(5, ge=0)
    """Rollout steps between two measurements of the gradient's imitated and explored parts; 0 measures none."""

    @model_validator(mode="after")
    def mini_batches_have_questions(self) -> Self:
        if self.mini_batches > self.questions_per_step:
            raise ValueError(
                f"mini_batches={self.mini_batches} exceeds questions_per_step={self.questions_per_step}: "
                "a mini-batch takes whole questions"
            )
        return self


class OptimisationSettings(Settings):
    """Both phases; a method uses those it needs."""

    sft: SftPhase = SftPhase()
    """Imitation."""
    rl: RlPhase = RlPhase()
    """Reinforcement learning."""
    on_nonfinite: OnNonfinite = "stop"
    """What happens where a reward, a log-probability, the loss or the gradient is NaN or infinite.

    stop: the run fails before the weights are touched; skip: that optimizer step is left out and counted (the metric
    skipped_nonfinite), and the third in a row stops the run all the same. Either way the batch is saved in
    <run>/nonfinite/. A model whose own probabilities are not numbers always stops the run. verl can only stop.
    """
