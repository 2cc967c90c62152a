"""The few published averages that stand beside ours: comparable in order, never in level."""

from __future__ import annotations

from dataclasses import dataclass

PAPER = "arXiv 2507.01679, Table 1"
"""Prefix-RFT's own comparison."""
RE_EVALUATION = "arXiv 2604.23747, Tables 1 and 5"
"""SFT and SFT->RFT trained again without the accumulation errors of earlier baselines; mean of 3 seeds."""
LABEL = "published, Qwen2.5-Math-7B average of six"
"""AIME24, AIME25 and AMC (avg@32), MATH-500, Minerva and OlympiadBench (pass@1)."""


@dataclass(frozen=True)
class Published:
    """One published average over six benchmarks, in percent."""

    method: str
    average: float
    source: str
    note: str = ""


PUBLISHED = (
    Published("base", 19.0, PAPER),
    Published("sft", 44.1, PAPER),
    Published("rft", 45.5, PAPER),
    Published("sft_rft", 48.2, PAPER),
    Published("prefix_rft", 51.8, PAPER),
    Published("sft", 52.2, RE_EVALUATION, "the mean of 3 seeds, standard deviation 0.2"),
    Published("sft_rft", 57.0, RE_EVALUATION, "the mean of 3 seeds, standard deviation 0.3"),
    Published("prefix_rft", 51.8, RE_EVALUATION, "quoted from the paper, not trained again"),
)


def average(method: str, source: str) -> float | None:
    """The published average of `method` in `source`, in percent; None where the source has none."""
    return next((row.average for row in PUBLISHED if (row.method, row.source) == (method, source)), None)
