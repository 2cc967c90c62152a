"""Published numbers by the names that our tables give to their rows: comparable in order, never in level.

The numbers themselves stand in published_results.csv, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.published_results import PublishedResult, published_results

SEVEN = "Qwen2.5-Math-7B, average of six"
SMALL = "Qwen2.5-Math-1.5B, average of six"
SIX = "AIME24, AIME25 and AMC (avg@32), MATH-500, Minerva and OlympiadBench (pass@1)"
"""The six benchmarks."""


@dataclass(frozen=True)
class Source:
    """Where numbers were published, and what they measure."""

    name: str
    measure: str
    keys: tuple[str, ...] = ()
    """Beginnings of the source's names in published_results.csv; none: nothing of it is there."""
    model: str = "Qwen2.5-Math-7B"
    """Base model of its rows."""
    benchmark: str = "Avg6"
    """Benchmark, or which average."""


PAPER = Source(
    "arXiv 2507.01679, Table 1", SEVEN, ("Prefix-RFT arXiv 2507.01679 Table 1", "Prefix-RFT Table 1")
)
"""Prefix-RFT's own comparison."""
WEIGHTING = Source("arXiv 2507.01679, Table 8", SEVEN, ("Prefix-RFT Table 8",))
"""What becomes of the prefix's tokens."""
DATA = Source(
    "arXiv 2507.01679, data ablation",
    SMALL,
    ("Prefix-RFT 1.5B table + data/generator ablation",),
    "Qwen2.5-Math-1.5B",
)
"""Fewer questions and demonstrations, and other teachers."""
ENTROPY = Source("arXiv 2507.01679, Figure 4", SEVEN)
"""Which imitated tokens are updated; read off a figure, where at all."""
SCHEDULE = Source("arXiv 2507.01679, Figure 6b", SEVEN)
"""How the prefix shrinks; no number is known."""
FAMILY = Source(
    "prefix_rft repository at 5f5d2a1, plot data",
    "LLaMA-3.1-8B, average of six",
    ("ZeroYuHuang/prefix_rft@5f5d2a1",),
    "LLaMA-3.1-8B",
)
"""Another family of models."""
_MANY = "Qwen2.5-Math-7B, pass@2048"
AIME24 = Source("arXiv 2507.01679, Table 7, AIME24", _MANY, ("Prefix-RFT Table 7",), benchmark="AIME24")
AIME25 = Source("arXiv 2507.01679, Table 7, AIME25", _MANY, ("Prefix-RFT Table 7",), benchmark="AIME25")
RE_EVALUATION = Source("arXiv 2604.23747, Tables 1 and 5", SEVEN, ("SFT-then-RL arXiv 2604.23747 Table 1/5",))
"""SFT and SFT->RFT trained again without the accumulation errors of earlier baselines; mean of 3 seeds."""


@dataclass(frozen=True)
class Published:
    """One published number, in percent."""

    row: str
    """A method by the name of its settings, or what the row is called in the sweep that repeats it."""
    value: float
    source: Source
    note: str = ""


_NAMES: dict[Source, dict[str, str]] = {
    PAPER: {
        "base": "Base",
        "sft": "SFT",
        "rft": "RFT",
        "sft_rft": "SFT+RFT",
        "rl_sft_loss": "RL w/ SFT Loss",
        "uft": "UFT",
        "luffy": "LUFFY",
        "relift": "ReLIFT",
        "prefix_rft": "Prefix-RFT",
    },
    RE_EVALUATION: {
        "sft": "SFT (corrected, verl)",
        "sft_rft": "SFT->RL (corrected)",
        "prefix_rft": "Prefix-RFT (reported)",
    },
    WEIGHTING: {
        "prefix_rft": "Prefix-RFT (ours)",
        "update all": "Update All prefix tokens",
        "freeze prefix": "Freeze Prefix",
        "static weight": "Static Weight (0.001, UFT-like)",
        "on-policy clip": "RFT + On-policy Clip",
        "dr_po": "DR-PO",
    },
    DATA: {
        "Prefix-RFT, 100%": "Prefix-RFT (100% demos, R1)",
        "Prefix-RFT, 10%": "Prefix-RFT 10% demos (4.5k)",
        "Prefix-RFT, 1%": "Prefix-RFT 1% demos (0.45k)",
        "R1-Distill-32B": "Prefix-RFT demo generator R1-Distill-32B",
        "R1-Distill-1.5B": "Prefix-RFT demo generator R1-Distill-1.5B",
    },
    FAMILY: {"sft": "SFT", "rft": "RFT", "luffy": "LUFFY", "prefix_rft": "Prefix-RFT"},
    AIME24: {"base": "Base", "rft": "RFT", "luffy": "LUFFY", "prefix_rft": "Prefix-RFT"},
    AIME25: {"base": "Base", "prefix_rft": "Prefix-RFT"},
}
"""Rows here, and what published_results.csv calls the method."""
_NOTES = {
    (RE_EVALUATION, "sft"): "the mean of 3 seeds, standard deviation 0.2",
    (RE_EVALUATION, "sft_rft"): "the mean of 3 seeds, standard deviation 0.3",
    (RE_EVALUATION, "prefix_rft"): "quoted from the paper, not trained again",
    (WEIGHTING, "update all"): "with responses growing without bound",
}


def result(row: str, source: Source, benchmark: str = "") -> PublishedResult | None:
    """The published number of one of our rows, as it stands in published_results.csv; None where there is none.

    Args:
        row: a method by the name of its settings, or what the row is called in the sweep that repeats it.
        source: where it was published.
        benchmark: empty takes the source's own.

    Raises:
        LookupError: the source has several.
    """
    method = _NAMES.get(source, {}).get(row)
    found = [
        known
        for known in published_results()
        if (known.method, known.model, known.benchmark)
        == (method, source.model, benchmark or source.benchmark)
        and known.source.startswith(source.keys)
        and known.score is not None
    ]
    if len(found) > 1:
        raise LookupError(f"published_results.csv has {len(found)} numbers of {method} in {source.name}")
    return found[0] if found else None


def _looked_up(row: str, source: Source) -> Published:
    """The number of published_results.csv.

    Raises:
        LookupError: it is not there exactly once.
    """
    found = result(row, source)
    if found is None or found.score is None:
        raise LookupError(f"published_results.csv has no number of {row} in {source.name}")
    return Published(row, found.score, source, _NOTES.get((source, row), ""))


PUBLISHED = tuple(_looked_up(row, source) for source, rows in _NAMES.items() for row in rows)


def number(row: str, source: Source) -> float | None:
    """What `source` published for `row`, in percent; None where it has nothing."""
    return next((known.value for known in PUBLISHED if (known.row, known.source) == (row, source)), None)
