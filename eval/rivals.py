"""Two models on the same benchmarks: paired differences, sign tests, and the difference of their averages.

Axes: R training seeds, Q questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eval.compare import Difference, SignTest, average_bootstrap, holm, paired_bootstrap, sign_test
from eval.evaluated import Evaluated, same_measure
from eval.intervals import Floats
from eval.results import verdict_matrix
from prefix_rft.errors import DataError

AVERAGE = "Avg"
"""Row of the mean over benchmarks."""


@dataclass(frozen=True)
class Comparison:
    """One model against another on one benchmark, or on the average of several."""

    benchmark: str
    """Its name, or `AVERAGE`."""
    difference: Difference
    """First minus second, in shares of 1."""
    signs: SignTest | None
    """On how many questions each is ahead; None for the average."""
    p_holm: float
    """p-value after Holm's correction over all rows compared together."""


def compare_models(
    first: Sequence[Sequence[Evaluated]],
    second: Sequence[Sequence[Evaluated]],
    metric: str = "avg",
    key: int = 0,
) -> list[Comparison]:
    """Every benchmark that both were measured on, then the average over these; Holm's correction over all of them.

    Args:
        first: of every training seed the model's evaluations; one entry for a model that was trained once.
        second: the same of the other model; as many seeds, in the same order.
        metric: avg, or pass@k.
        key: of the resamples.

    Raises:
        DataError: they share no benchmark, or a benchmark has other questions in one of them.
        ProtocolError: something was measured under another protocol; names the differing fields.
        ValueError: different numbers of training seeds.
    """
    everything = [one for model in (first, second) for seed in model for one in seed]
    same_measure(everything)
    ours, theirs = by_benchmark(first, metric), by_benchmark(second, metric)
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise DataError(
            f"the models share no benchmark: {', '.join(ours) or 'none'} and {', '.join(theirs) or 'none'}."
        )
    pairs = {name: (ours[name], theirs[name]) for name in shared}
    return compare_scores(pairs, key)


def compare_scores(pairs: Mapping[str, tuple[Floats, Floats]], key: int = 0) -> list[Comparison]:
    """As `compare_models`, of [R, Q] scores by benchmark."""
    found = [
        Comparison(name, paired_bootstrap(a_RQ, b_RQ, key, name), sign_test(a_RQ, b_RQ), 1.0)
        for name, (a_RQ, b_RQ) in pairs.items()
    ]
    if len(found) > 1:
        found.append(Comparison(AVERAGE, average_bootstrap(list(pairs.values()), key, AVERAGE), None, 1.0))
    adjusted = holm([one.difference.p_value for one in found])
    return [replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]


def by_benchmark(model: Sequence[Sequence[Evaluated]], metric: str) -> dict[str, Floats]:
    """[R, Q] scores on every benchmark that all training seeds were measured on.

    Raises:
        DataError: a seed has other questions than another.
    """
    tables = [{one.benchmark: one for one in seed} for seed in model]
    shared = [name for name in tables[0] if all(name in table for table in tables)] if tables else []
    for name in shared:
        _must_ask_the_same(name, [table[name] for table in tables])
    return {name: np.stack([table[name].question_scores(metric) for table in tables]) for name in shared}


def _must_ask_the_same(name: str, evaluations: Sequence[Evaluated]) -> None:
    asked = [verdict_matrix(one.folder)[0] for one in evaluations]
    for ids, one in zip(asked, evaluations, strict=True):
        if ids != asked[0]:
            raise DataError(f"{one.folder} asks other questions of {name} than {evaluations[0].folder}.")
