"""One run's scores as tables compare them: on a split of its data, or on benchmarks with their mean.

Axes: Q questions of a part. A part is a split or a benchmark; a score over several parts is the mean of their means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.evaluations import Evaluation, Floats
from eval.benchmarks.registry import BENCHMARKS
from eval.intervals import average, interval, spread
from eval.rivals import AVERAGE

_PASS = "pass@"


@dataclass(frozen=True, eq=False)
class Measured:
    """What one run scored on every part of a comparison."""

    parts: Mapping[str, Evaluation]
    """By split or benchmark, in the order of tables; at least one."""

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of the compared scores.

        Of one part avg@n, then each pass@k but pass@1, which is avg@n by another name. Of several the mean, then each
        part by its title; where all parts have n samples and n > 1, the same once more as pass@n.
        """
        if len(self.parts) == 1:
            return tuple(name for name in self._only.scores.metrics if name != f"{_PASS}1")
        titles = (AVERAGE, *map(title, self.parts))
        samples = {part.scores.samples for part in self.parts.values()}
        most = max(samples)
        many = tuple(f"{name} {_PASS}{most}" for name in titles) if samples == {most} and most > 1 else ()
        return (*titles, *many)

    @property
    def questions(self) -> int:
        """Of all parts together."""
        return sum(len(part.questions) for part in self.parts.values())

    @property
    def mean_tokens(self) -> float:
        """Mean length of a response; parts count alike."""
        return float(np.mean([part.scores.mean_tokens for part in self.parts.values()]))

    def question_scores(self, metric: str) -> dict[str, Floats]:
        """[Q] scores of every question by part, of the parts that the metric is over.

        Raises:
            KeyError: there is no such score.
        """
        parts, name = self._meaning(metric)
        return {part: self.parts[part].question_scores(name) for part in parts}

    def mean(self, metric: str) -> float:
        """The score, a share of 1."""
        return float(np.mean([score_Q.mean() for score_Q in self.question_scores(metric).values()]))

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Its 95% interval over questions; None of a single question, which tells nothing of others."""
        scores = list(self.question_scores(metric).values())
        if any(score_Q.size < 2 for score_Q in scores):
            return None
        spreads = [spread(score_Q) for score_Q in scores]
        return interval(spreads[0] if len(spreads) == 1 else average(spreads))

    @property
    def _only(self) -> Evaluation:
        return next(iter(self.parts.values()))

    def _meaning(self, metric: str) -> tuple[Iterable[str], str]:
        """The parts that a metric is over, and what is taken of each."""
        if len(self.parts) == 1:
            return self.parts, metric
        name, _, many = metric.partition(f" {_PASS}")
        of_title = {title(part): part for part in self.parts}
        parts = self.parts if name == AVERAGE else [of_title[name]]
        return parts, f"{_PASS}{many}" if many else "avg"


def title(part: str) -> str:
    """What tables call a part: a benchmark's title, or the split."""
    return BENCHMARKS[part].title if part in BENCHMARKS else part
