"""Which row is better than which: paired tests over questions and training seeds, corrected for their number.

Axes: R training seeds, Q questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from analysis.results import Results
from eval.compare import Difference, holm, paired_bootstrap

SIGNIFICANCE = 0.05
"""Level of all tests of one family together."""
FEWEST_SEEDS = 2
"""Below it training's own randomness is unknown, and no claim about methods is made."""


@dataclass(frozen=True)
class Comparison:
    """Row `first` against row `second` on one metric."""

    first: str
    second: str
    difference: Difference
    """First minus second, in shares of 1."""
    p_holm: float
    """p-value after Holm's correction over the family it was tested in."""

    @property
    def decided(self) -> bool:
        """Whether the data support a difference at all."""
        return self.p_holm < SIGNIFICANCE and self.difference.seeds >= FEWEST_SEEDS

    def flipped(self) -> Comparison:
        """The same test seen from the other row."""
        return replace(self, first=self.second, second=self.first, difference=_flipped(self.difference))

    def describe(self) -> str:
        """The difference in percentage points with its interval and p-value."""
        low, high = self.difference.ci95
        seeds = "" if self.difference.seeds >= FEWEST_SEEDS else ", one training seed only"
        return (
            f"{points(self.difference.value)} points, 95% interval {points(low)} to {points(high)}, "
            f"{p_text(self.p_holm)}{seeds}"
        )


def p_text(p: float) -> str:
    """p to three decimals, never as zero."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def points(share: float) -> str:
    """A difference of shares in signed percentage points; what rounds to zero has no sign."""
    shown = f"{100 * share:+.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown


def family(
    results: Results, pairs: Iterable[tuple[str, str]], metric: str
) -> dict[tuple[str, str], Comparison]:
    """Compares every pair of labels that share a training seed; Holm's correction runs over all of them.

    A base model has no training seed: the same model stands against every seed of the other row.
    """
    found = {pair: _difference(results, *pair, metric) for pair in dict.fromkeys(pairs)}
    tested = {pair: value for pair, value in found.items() if value is not None}
    adjusted = holm([value.p_value for value in tested.values()])
    return {
        pair: Comparison(*pair, value, p) for (pair, value), p in zip(tested.items(), adjusted, strict=True)
    }


def _difference(results: Results, first: str, second: str, metric: str) -> Difference | None:
    """A pair gives the same interval from both sides: it is resampled once, in the labels' order."""
    if first <= second:
        return _resampled(results, first, second, metric)
    seen = _resampled(results, second, first, metric)
    return None if seen is None else _flipped(seen)


def _flipped(seen: Difference) -> Difference:
    low, high = seen.ci95
    return replace(seen, value=-seen.value, ci95=(-high, -low))


@lru_cache(maxsize=256)
def _resampled(results: Results, first: str, second: str, metric: str) -> Difference | None:
    a, b = results.question_scores(first, metric), results.question_scores(second, metric)
    seeds = _shared_seeds(a, b)
    if not seeds:
        return None
    a_RQ, b_RQ = (np.stack([_of(scores, seed) for seed in seeds]) for scores in (a, b))
    # Every pair is resampled by the same draws: faster, and a row's luck is the same in all its comparisons.
    return paired_bootstrap(a_RQ, b_RQ, "comparison")


Scores = Mapping[int | None, "np.typing.NDArray[np.float64]"]


def _shared_seeds(a: Scores, b: Scores) -> Sequence[int | None]:
    if not a or not b:
        return []
    if None in a or None in b:
        seeded = a if None in b else b
        return sorted(seeded, key=lambda seed: -1 if seed is None else seed)
    return sorted(seed for seed in a if seed in b and seed is not None)


def _of(scores: Scores, seed: int | None) -> np.typing.NDArray[np.float64]:
    return scores[seed] if seed in scores else scores[None]
