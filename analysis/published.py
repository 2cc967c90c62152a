"""The published numbers that stand beside ours: comparable in order, never in level."""

from __future__ import annotations

from dataclasses import dataclass

SEVEN = "Qwen2.5-Math-7B, average of six"
SMALL = "Qwen2.5-Math-1.5B, average of six"
SIX = "AIME24, AIME25 and AMC (avg@32), MATH-500, Minerva and OlympiadBench (pass@1)"
"""The six benchmarks."""


@dataclass(frozen=True)
class Source:
    """Where numbers were published, and what they measure."""

    name: str
    measure: str


PAPER = Source("arXiv 2507.01679, Table 1", SEVEN)
"""Prefix-RFT's own comparison."""
WEIGHTING = Source("arXiv 2507.01679, Table 8", SEVEN)
"""What becomes of the prefix's tokens."""
DATA = Source("arXiv 2507.01679, data ablation", SMALL)
"""Fewer questions and demonstrations, and other teachers."""
ENTROPY = Source("arXiv 2507.01679, Figure 4", SEVEN)
"""Which imitated tokens are updated; read off a figure, where at all."""
SCHEDULE = Source("arXiv 2507.01679, Figure 6b", SEVEN)
"""How the prefix shrinks; no number is known."""
FAMILY = Source("prefix_rft repository at 5f5d2a1, plot data", "LLaMA-3.1-8B, average of six")
"""Another family of models."""
AIME24 = Source("arXiv 2507.01679, Table 7, AIME24", "Qwen2.5-Math-7B, pass@2048")
AIME25 = Source("arXiv 2507.01679, Table 7, AIME25", "Qwen2.5-Math-7B, pass@2048")
RE_EVALUATION = Source("arXiv 2604.23747, Tables 1 and 5", SEVEN)
"""SFT and SFT->RFT trained again without the accumulation errors of earlier baselines; mean of 3 seeds."""


@dataclass(frozen=True)
class Published:
    """One published number, in percent."""

    row: str
    """A method by the name of its settings, or what the row is called in the sweep that repeats it."""
    value: float
    source: Source
    note: str = ""


PUBLISHED = (
    Published("base", 19.0, PAPER),
    Published("sft", 44.1, PAPER),
    Published("rft", 45.5, PAPER),
    Published("sft_rft", 48.2, PAPER),
    Published("rl_sft_loss", 40.1, PAPER),
    Published("uft", 44.2, PAPER),
    Published("luffy", 50.1, PAPER),
    Published("relift", 47.8, PAPER),
    Published("prefix_rft", 51.8, PAPER),
    Published("sft", 52.2, RE_EVALUATION, "the mean of 3 seeds, standard deviation 0.2"),
    Published("sft_rft", 57.0, RE_EVALUATION, "the mean of 3 seeds, standard deviation 0.3"),
    Published("prefix_rft", 51.8, RE_EVALUATION, "quoted from the paper, not trained again"),
    Published("prefix_rft", 51.8, WEIGHTING),
    Published("update all", 45.7, WEIGHTING, "with responses growing without bound"),
    Published("freeze prefix", 45.4, WEIGHTING),
    Published("static weight", 43.8, WEIGHTING),
    Published("on-policy clip", 43.8, WEIGHTING),
    Published("dr_po", 33.8, WEIGHTING),
    Published("Prefix-RFT, 100%", 41.1, DATA),
    Published("Prefix-RFT, 10%", 40.8, DATA),
    Published("Prefix-RFT, 1%", 37.6, DATA),
    Published("R1-Distill-32B", 40.6, DATA),
    Published("R1-Distill-1.5B", 39.8, DATA),
    Published("sft", 5.9, FAMILY),
    Published("rft", 9.6, FAMILY),
    Published("luffy", 13.2, FAMILY),
    Published("prefix_rft", 14.5, FAMILY),
    Published("base", 86.67, AIME24),
    Published("rft", 90.0, AIME24),
    Published("luffy", 90.0, AIME24),
    Published("prefix_rft", 96.67, AIME24),
    Published("base", 70.0, AIME25),
    Published("prefix_rft", 76.67, AIME25),
)


def number(row: str, source: Source) -> float | None:
    """What `source` published for `row`, in percent; None where it has nothing."""
    return next((known.value for known in PUBLISHED if (known.row, known.source) == (row, source)), None)
