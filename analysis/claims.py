"""The published orderings: what is said to be better than what, where, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.published import (
    AIME24,
    AIME25,
    DATA,
    ENTROPY,
    FAMILY,
    PAPER,
    RE_EVALUATION,
    SCHEDULE,
    WEIGHTING,
    Source,
    number,
)
from analysis.style import NAMES

MAIN = "main_results"
"""The sweep of the table of methods."""


@dataclass(frozen=True)
class Claim:
    """A published ordering of two rows."""

    higher: str
    """A method by the name of its settings, or a variant of the sweep by its label."""
    lower: str
    source: Source
    sweep: str = ""
    """The sweep whose rows it is about; empty: it holds of methods, in whatever table they stand."""
    relation: Literal[">", "≈"] = ">"
    """Better, or about as good."""
    samples: Literal["mean", "many"] = "mean"
    """Whether it is about avg@n or about the pass@k of largest k."""

    @property
    def gap(self) -> float | None:
        """Published difference in points; None where the source gives no number for one of the two."""
        higher, lower = number(self.higher, self.source), number(self.lower, self.source)
        return None if higher is None or lower is None else higher - lower

    @property
    def text(self) -> str:
        """Prefix-RFT > SFT."""
        return f"{NAMES.get(self.higher, self.higher)} {self.relation} {NAMES.get(self.lower, self.lower)}"


CLAIMS = (
    *(
        Claim("prefix_rft", rival, PAPER)
        for rival in ("sft", "rft", "sft_rft", "rl_sft_loss", "uft", "luffy", "relift", "base")
    ),
    Claim("luffy", "sft_rft", PAPER),
    Claim("sft_rft", "relift", PAPER),
    Claim("sft_rft", "sft", PAPER),
    Claim("sft_rft", "rft", PAPER),
    Claim("rft", "sft", PAPER),
    Claim("sft", "rl_sft_loss", PAPER),
    Claim("sft_rft", "base", PAPER),
    Claim("rft", "base", PAPER),
    Claim("sft", "base", PAPER),
    Claim("sft_rft", "prefix_rft", RE_EVALUATION),
    Claim("sft_rft", "sft", RE_EVALUATION),
    Claim("sft", "prefix_rft", RE_EVALUATION),
    *(
        Claim("prefix_rft", control, WEIGHTING, "prefix_weighting")
        for control in ("update all", "freeze prefix", "static weight", "on-policy clip", "dr_po")
    ),
    *(
        Claim("top 20%", other, ENTROPY, "entropy_ratio")
        for other in ("top 50%", "top 80%", "all", "random 20%", "lowest 20%")
    ),
    Claim("cosine", "uniform", SCHEDULE, "schedule"),
    Claim("Prefix-RFT, 10%", "Prefix-RFT, 100%", DATA, "data_fraction", relation="≈"),
    Claim("Prefix-RFT, 100%", "Prefix-RFT, 1%", DATA, "data_fraction"),
    Claim("Prefix-RFT, 10%", "Prefix-RFT, 1%", DATA, "data_fraction"),
    Claim("prefix_rft", "rft", FAMILY, "model_family"),
    Claim("prefix_rft", "base", AIME24, "pass_at_k", samples="many"),
    Claim("prefix_rft", "rft", AIME24, "pass_at_k", samples="many"),
    Claim("prefix_rft", "luffy", AIME24, "pass_at_k", samples="many"),
    Claim("prefix_rft", "base", AIME25, "pass_at_k", samples="many"),
)
"""The paper's own table, then the re-evaluation with corrected baselines, then the ablations."""


def claims_for(sweep: str, variants: tuple[str, ...]) -> tuple[Claim, ...]:
    """What is to be judged on a sweep: its own claims, and those on methods that stand in it.

    The table of methods judges all claims on methods, and says of which it lacks the rows.

    Args:
        sweep: its name; empty for a choice of runs of one's own.
        variants: its rows.
    """
    everything = sweep in ("", MAIN)
    there = {method for method, name in NAMES.items() if name in variants}
    return tuple(
        claim
        for claim in CLAIMS
        if (claim.sweep == sweep if claim.sweep else everything or {claim.higher, claim.lower} <= there)
    )
