"""What a run costs: tokens and FLOPs from its settings, hours on an assumed machine, bytes on disk.

P is the number of weights a token is multiplied by, W the width of attention over all layers, n the tokens of a
sequence. A forward pass takes 2 P n FLOPs and, for token t looking at t tokens, 4 W t, which sums to 2 W n (n + 1). A
sequence that is updated takes three forward passes: one forward, two backward.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

from eval.benchmarks.registry import BENCHMARKS
from eval.benchmarks.schema import Benchmark
from eval.protocols.catalogue import PROTOCOLS
from experiments.cost.shapes import Shape, shape_of
from experiments.cost.tokens import RESPONSE_SHARE, Sizes, sizes
from prefix_rft.settings import (
    LuffyMethod,
    ReliftMethod,
    RlSftLossMethod,
    RunConfig,
    SftMethod,
    TinyModel,
    VerlBackend,
    base_backend,
)

BASE_BATCH = 64
"""Sequences of one optimizer step of a tiny base model's schooling."""
SAMPLE_BYTES = 2.0
"""Bytes of a sampled token on disk: about four characters, compressed, and its share of the verdict."""


@dataclass(frozen=True)
class Work:
    """Tokens and FLOPs of one kind of run or of many."""

    generated: float = 0.0
    """Sampled tokens: rollouts, validation, evaluation."""
    scored: float = 0.0
    """Tokens of a forward pass for old log-probabilities and entropies."""
    updated: float = 0.0
    """Tokens of a forward and backward pass, those of prompts included."""
    generate_flops: float = 0.0
    score_flops: float = 0.0
    update_flops: float = 0.0
    kept: float = 0.0
    """Sampled tokens that stay on disk."""

    @property
    def flops(self) -> float:
        """All of them."""
        return self.generate_flops + self.score_flops + self.update_flops

    def __add__(self, other: Self) -> Work:
        return Work(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Work)))

    def __mul__(self, times: float) -> Work:
        return Work(*(times * getattr(self, field.name) for field in fields(Work)))


@dataclass(frozen=True)
class Machine:
    """What one device gets done; useful FLOPs a second."""

    name: str
    generate: float
    score: float
    update: float
    start_seconds: float
    """Of every run, before its first step."""

    def seconds(self, work: Work) -> float:
        """Device seconds of a run's work, apart from its start."""
        return (
            work.generate_flops / self.generate
            + work.score_flops / self.score
            + work.update_flops / self.update
        )


_H100_PEAK = 989e12
H100 = Machine("H100", 0.10 * _H100_PEAK, 0.35 * _H100_PEAK, 0.35 * _H100_PEAK, start_seconds=120.0)
"""Dense bfloat16 peak of NVIDIA's data sheet times what is usually reached.

Training and scoring reach 30 to 40% of the peak; decoding is bound by memory, and the longest responses of a batch are
waited for: 10%.
"""
CPU_CORE = Machine("CPU core", 14e9, 50e9, 50e9, start_seconds=5.0)
"""One core of an AMD EPYC with the embedded model of 83k weights.

Measured: 16,384 responses sampled in 8 s; 60 updates of 128 responses, scored before, in 3.4 s (64 GFLOP/s, rows of
zero weight left out) and 48 smaller ones of SFT at 16 GFLOP/s; 5 s to import and load.
"""


VERL_CPU = Machine("CPU core under verl", 1e9, 2e9, 2e9, start_seconds=90.0)
"""verl by its test plugin, roughly: on a busy machine of 2 cores a step of 128 responses took 8 to 10 s, half of them
sampling, and the first one a minute more; alone it is two to three times as fast.
"""


def machine_of(config: RunConfig, *, base: bool = False) -> Machine:
    """The machine that an estimate assumes; for a starting model, that of the embedded trainer."""
    backend = base_backend(config.backend) if base else config.backend
    if backend.device != "cpu":
        return H100
    return VERL_CPU if isinstance(backend, VerlBackend) else CPU_CORE


def generate(shape: Shape, count: float, prompt: float, response: float) -> Work:
    """`count` responses sampled."""
    return Work(generated=count * response, generate_flops=count * forward(shape, prompt + response))


def score(shape: Shape, count: float, tokens: float) -> Work:
    """`count` sequences of so many tokens read."""
    return Work(scored=count * tokens, score_flops=count * forward(shape, tokens))


def update(shape: Shape, count: float, tokens: float) -> Work:
    """`count` sequences of so many tokens learnt from."""
    return Work(updated=count * tokens, update_flops=3 * count * forward(shape, tokens))


def forward(shape: Shape, tokens: float) -> float:
    """FLOPs of one forward pass over one sequence."""
    return 2 * shape.multiplied * tokens + 2 * shape.attention_width * tokens * (tokens + 1)


def base_work(config: RunConfig) -> Work | None:
    """The stage that makes a starting model; a scratch model is not trained."""
    known = _known(config)
    if known is None or not isinstance(config.model, TinyModel):
        return Work() if known else None
    shape, data = known
    model = config.model
    steps = model.single_steps + model.skill_steps + model.polish_steps + model.habit_steps
    return update(shape, steps * BASE_BATCH, data.prompt + data.response)


def training_work(config: RunConfig) -> Work | None:
    """One run's training, the looks at validation included; None where model or data are not known."""
    known = _known(config)
    if known is None:
        return None
    shape, data = known
    steps = config.optimisation.rl.steps
    phase = config.optimisation.sft if isinstance(config.method, SftMethod) else config.optimisation.rl
    if isinstance(config.method, SftMethod):
        rows = config.optimisation.sft.epochs * data.demonstrated
        steps = -(-rows // phase.questions_per_step)
        work = update(shape, rows, data.prompt + data.demonstration)
    else:
        work = _rollouts(config, shape, data)
    looks = -(-steps // phase.validate_every) if phase.validate_every else 1
    validation = config.evaluation.validation
    questions = min(validation.questions or data.validation, data.validation)
    return work + generate(shape, looks * questions * validation.samples, data.prompt, data.response)


def evaluation_work(config: RunConfig, name: str) -> Work | None:
    """One evaluation of one split, or of one benchmark, whose prompts are taken to be as long as the data's."""
    known = _known(config)
    if known is None:
        return None
    shape, data = known
    if name in BENCHMARKS:
        responses, tokens = _on_benchmark(config, BENCHMARKS[name])
    else:
        asked = config.evaluation
        questions = min(asked.questions or data.of_split(name), data.of_split(name))
        responses, tokens = questions * asked.samples, data.response
    work = generate(shape, responses, data.prompt, tokens)
    return work + Work(kept=work.generated)


def _on_benchmark(config: RunConfig, benchmark: Benchmark) -> tuple[int, float]:
    """Responses, and the mean tokens of one."""
    asked = config.evaluation.benchmarks
    protocol = PROTOCOLS[asked.protocol]
    problems = min(asked.problems or benchmark.problems, benchmark.problems)
    longest = asked.max_tokens or protocol.max_tokens
    return problems * (asked.samples or protocol.samples_of(benchmark)), RESPONSE_SHARE * longest


def checkpoint_bytes(config: RunConfig, *, base: bool) -> float | None:
    """Checkpoints that stay: weights, AdamW's two moments, and where weights are not float32 alone, both forms."""
    shape = shape_of(config)
    if shape is None:
        return None
    if base:
        return 4.0 * shape.parameters
    backend = config.backend
    if isinstance(backend, VerlBackend):
        one = 4 + 8 + 4  # float32 shards with their moments, and the whole model beside them
    else:
        half = backend.dtype == "bfloat16"
        one = (2 + 4 + 8 if half else 4 + 8) + (8 if isinstance(config.method, ReliftMethod) else 0)
    return float(one * shape.parameters * backend.keep_checkpoints)


def _rollouts(config: RunConfig, shape: Shape, data: Sizes) -> Work:
    """Every rollout step; a hybrid counts as a response of usual length, all of it sampled."""
    method, phase = config.method, config.optimisation.rl
    assert not isinstance(method, SftMethod)
    rows = phase.steps * phase.questions_per_step * method.rollouts
    given = phase.steps * phase.questions_per_step if isinstance(method, LuffyMethod | RlSftLossMethod) else 0
    own = rows - given
    work = generate(shape, own, data.prompt, data.response)
    for count, tokens in ((own, data.prompt + data.response), (given, data.prompt + data.demonstration)):
        work += score(shape, count, tokens) + update(shape, count, tokens)
    if isinstance(method, ReliftMethod):  # at most every question goes unsolved
        interleaved = phase.steps * phase.questions_per_step
        work += update(shape, interleaved, data.prompt + data.demonstration)
    return work


def _known(config: RunConfig) -> tuple[Shape, Sizes] | None:
    shape, data = shape_of(config), sizes(config.data)
    return None if shape is None or data is None else (shape, data)
