"""Which row is better than which: paired tests over questions and training seeds, corrected for their number.

A row is named by its label; where a sweep repeats its rows on several base models, the name of a variant
stands for its rows on all of them.

Axes: R training seeds, Q questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from analysis.evaluations import Floats
from analysis.results import Results
from eval.compare import Difference, holm, pooled_bootstrap

SIGNIFICANCE = 0.05
"""Level of all tests of one family together."""
FEWEST_QUESTIONS = 2
"""Below it nothing is known of other questions, and nothing is tested."""
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
    by_base: Mapping[str, float] = field(default_factory=dict)
    """The difference on each base model, where there are several."""

    @property
    def decided(self) -> bool:
        """Whether the data support a difference at all: significant, over seeds, on every base model."""
        return self.p_holm < SIGNIFICANCE and self.difference.seeds >= FEWEST_SEEDS and self.agreed

    @property
    def agreed(self) -> bool:
        """Whether the difference has the same sign on every base model."""
        signs = {np.sign(value) for value in self.by_base.values()}
        return len(signs) <= 1

    def flipped(self) -> Comparison:
        """The same test seen from the other row."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            difference=_flipped(self.difference),
            by_base={base: -value for base, value in self.by_base.items()},
        )

    def describe(self) -> str:
        """The difference in percentage points with its interval and p-value."""
        low, high = self.difference.ci95
        return (
            f"{points(self.difference.value)} points, 95% interval {points(low)} to {points(high)}, "
            f"{p_text(self.p_holm)}{self._doubts}"
        )

    @property
    def _doubts(self) -> str:
        """Why nothing is claimed however small p is."""
        seeds = "" if self.difference.seeds >= FEWEST_SEEDS else ", one training seed only"
        return seeds if self.agreed else f"{seeds}, base models disagree"


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
    """Compares every pair that shares a training seed; Holm's correction runs over all of them.

    A base model has no training seed: the same model stands against every seed of the other row.
    """
    found = {pair: _tested(results, *pair, metric) for pair in dict.fromkeys(pairs)}
    tested = {pair: value for pair, value in found.items() if value is not None}
    adjusted = holm([value.difference.p_value for value in tested.values()])
    return {pair: replace(value, p_holm=p) for (pair, value), p in zip(tested.items(), adjusted, strict=True)}


def why_untested(results: Results, metric: str) -> str:
    """What keeps two evaluated rows from being compared."""
    few = any(
        score_Q.size < FEWEST_QUESTIONS
        for done in results.evaluations.values()
        for score_Q in done.question_scores(metric).values()
    )
    return "one question only" if few else "no seed shared"


def _tested(results: Results, first: str, second: str, metric: str) -> Comparison | None:
    """A pair gives the same interval from both sides: it is resampled once, in the names' order."""
    if first <= second:
        return _resampled(results, first, second, metric)
    seen = _resampled(results, second, first, metric)
    return None if seen is None else seen.flipped()


def _flipped(seen: Difference) -> Difference:
    low, high = seen.ci95
    return replace(seen, value=-seen.value, ci95=(-high, -low))


@lru_cache(maxsize=1024)
def _resampled(results: Results, first: str, second: str, metric: str) -> Comparison | None:
    """The test before any correction."""
    pairs = _paired(results, first, second, metric)
    if not pairs or any(a_RQ.shape[1] < FEWEST_QUESTIONS for of in pairs.values() for a_RQ, _ in of):
        return None
    # Every pair is resampled by the same draws: faster, and a row's luck is the same in all its comparisons.
    difference = pooled_bootstrap(list(pairs.values()), "comparison")
    values = {base: float(np.mean([(a_RQ - b_RQ).mean() for a_RQ, b_RQ in of])) for base, of in pairs.items()}
    return Comparison(first, second, difference, difference.p_value, values if len(values) > 1 else {})


Pair = tuple[Floats, Floats]
"""[R, Q] scores of both rows on one part."""


def _paired(results: Results, first: str, second: str, metric: str) -> dict[str, list[Pair]]:
    """Both rows under the seeds they share, on each base model that they share, on every part of the metric.

    Nothing, where they share no seed on some base model of both.
    """
    ours, theirs = results.members(first), results.members(second)
    shared = [base for base in ours if base in theirs]
    pairs = {base: _stacked(results, ours[base], theirs[base], metric) for base in shared}
    return pairs if all(pairs.values()) else {}


def _stacked(results: Results, first: str, second: str, metric: str) -> list[Pair]:
    a, b = results.question_scores(first, metric), results.question_scores(second, metric)
    seeds = _shared_seeds(a, b)
    parts = next(iter(a.values())) if seeds else ()
    return [(_of_part(a, seeds, part), _of_part(b, seeds, part)) for part in parts]


Seed = int | None
Scores = Mapping[Seed, Mapping[str, Floats]]


def _shared_seeds(a: Scores, b: Scores) -> Sequence[Seed]:
    if not a or not b:
        return []
    if None in a or None in b:
        seeded = a if None in b else b
        return sorted(seeded, key=lambda seed: -1 if seed is None else seed)
    return sorted(seed for seed in a if seed in b and seed is not None)


def _of_part(scores: Scores, seeds: Sequence[Seed], part: str) -> Floats:
    """[R, Q]; a base model has one run for all seeds."""
    stacked: Floats = np.stack([scores[seed if seed in scores else None][part] for seed in seeds])
    return stacked
