"""Settings of the evaluation: what is sampled, how, and what is reported."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from prefix_rft.settings.base import Settings


class ValidationSettings(Settings):
    """The cheap look during training."""

    samples: int = Field(2, ge=1)
    """Samples a question."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature; 0 is greedy."""
    questions: int | None = Field(None, ge=1)
    """Use only the first questions of the validation split; null uses all."""


BenchmarkName = Literal[
    "aime24", "aime25", "amc", "amc23", "math500", "minerva", "olympiad", "arc_c", "gpqa_diamond", "mmlu_pro"
]
"""Names of `eval.benchmarks.registry`."""
ProtocolName = Literal["luffy", "relift", "prefix_rft", "plain", "lighteval"]
"""Names of `eval.protocols.catalogue`."""


class BenchmarkSettings(Settings):
    """Published benchmarks that a trained model is measured on, beside or instead of splits of its own data."""

    names: tuple[BenchmarkName, ...] = ()
    """Which; `evaluation=paper` names the six of the paper's tables."""
    protocol: ProtocolName = "luffy"
    """Prompt, decoding and grading, as published (docs/protocols.md)."""
    folder: str | None = None
    """Folder of benchmark files; null takes the one that PREFIX_RFT_BENCHMARKS names, else the hub."""
    allow_changed_data: bool = False
    """Evaluate on content that differs from the benchmark's; every number is then marked."""
    samples: int | None = Field(None, ge=1)
    """Samples a problem; null takes the benchmark's own number (32 of AIME and AMC, 1 of the others)."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest response in tokens; null takes the protocol's."""
    problems: int | None = Field(None, ge=1)
    """Use only the first problems of each benchmark, for trials; null uses all."""
    engine: Literal["local", "vllm"] = "local"
    """Who writes the samples: the suite's own decoding, for small models; or vLLM, which must be installed."""


class EvaluationSettings(Settings):
    """A named protocol: every number carries it, and a table refuses to mix two."""

    protocol: str = Field("avg32", min_length=1, pattern=r"^[a-z0-9_.-]+$")
    """Name of the protocol, shown under tables and used as a folder name."""
    splits: tuple[Literal["validation", "test"], ...] = ("test",)
    """Splits of the data that are evaluated after training."""
    questions: int | None = Field(None, ge=1)
    """Use only the first questions of each split; null uses all."""
    samples: int = Field(32, ge=1)
    """n: samples a question."""
    temperature: float = Field(0.6, ge=0)
    """Sampling temperature; 0 is greedy (LUFFY's protocol samples at 0.6)."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling; 1 keeps every token."""
    seed: int = 0
    """Seed of the samples."""
    pass_at: tuple[int, ...] = (1, 8)
    """The k of pass@k."""
    benchmarks: BenchmarkSettings = BenchmarkSettings()
    """Published benchmarks, under a protocol of their own."""
    validation: ValidationSettings = ValidationSettings()
    """The look during training."""

    @model_validator(mode="after")
    def enough_samples(self) -> Self:
        too_large = [k for k in self.pass_at if not 1 <= k <= self.samples]
        if too_large:
            raise ValueError(f"pass_at={too_large} needs 1 <= k <= samples={self.samples}")
        return self
