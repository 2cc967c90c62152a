"""Paired comparison of two rows over several base models; numpy only.

Axes: M base models, R training seeds of one base model, Q questions, B bootstrap resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from eval.compare import Difference, paired_bootstrap
from eval.scores import LEVEL, RESAMPLES, Floats, bootstrap_means, few_questions_factor
from prefix_rft import keyed

METHOD = (
    "the mean over the base models of the paired differences, over other questions and other training seeds "
    "of these same base models (the seeds' errors within each base model combined, degrees of freedom after "
    "Welch and Satterthwaite)"
)
"""What `pooled_bootstrap` measures, for captions: two base models say little about a third."""


def pooled_bootstrap(
    pairs: Sequence[tuple[Floats, Floats]], *parts: keyed.Part, resamples: int = RESAMPLES
) -> Difference:
    """The difference of two rows, averaged over base models that count alike.

    Questions are resampled, the same for all base models. Seeds belong to a base model: the standard error
    over seeds is that of a mean of M independent means, and Student's t has Satterthwaite's degrees of
    freedom. Base models are not resampled: the interval speaks of these. With one base model this is
    `paired_bootstrap`.

    Args:
        pairs: for every base model, both rows' [R, Q] scores of each question under each training seed.
        parts: key of the draws.
        resamples: B.

    Raises:
        ValueError: shapes differ within a pair, or the questions differ between base models.
    """
    if len(pairs) == 1:
        return paired_bootstrap(*pairs[0], *parts, resamples=resamples)
    differences = [np.subtract(a_RQ, b_RQ, dtype=np.float64) for a_RQ, b_RQ in pairs]
    mean_Q = np.mean([difference_RQ.mean(axis=0) for difference_RQ in differences], axis=0)
    outcome_B = float(mean_Q.mean()) + _question_deviations(mean_Q, differences, parts, resamples)
    outcome_B += _seed_deviations(differences, parts, resamples)
    low, high = np.quantile(outcome_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    seeds = min(len(difference_RQ) for difference_RQ in differences)
    return Difference(
        float(mean_Q.mean()), (float(low), float(high)), _two_sided(outcome_B), seeds, mean_Q.size
    )


def satterthwaite(variances: Sequence[float], degrees: Sequence[int]) -> float:
    """Degrees of freedom of a sum of independent variance estimates; infinite where all of them are 0."""
    parts = sum(
        variance**2 / degree for variance, degree in zip(variances, degrees, strict=True) if variance > 0
    )
    return sum(variances) ** 2 / parts if parts else math.inf


def _question_deviations(
    mean_Q: Floats, differences: Sequence[Floats], parts: tuple[keyed.Part, ...], resamples: int
) -> Floats:
    drawn_B = bootstrap_means(mean_Q[:, None], "paired", *parts, resamples=resamples)[:, 0]
    scale = few_questions_factor(mean_Q.size) * math.sqrt(1 - _noise_share(mean_Q, differences))
    return (drawn_B - float(mean_Q.mean())) * scale


def _noise_share(mean_Q: Floats, differences: Sequence[Floats]) -> float:
    """Share of the variance between questions that is noise which seeds of one base model do not share."""
    between = float(mean_Q.var(ddof=1))
    repeated = [difference_RQ for difference_RQ in differences if len(difference_RQ) > 1]
    if not repeated or between == 0:
        return 0.0
    noise = sum(_interaction(difference_RQ) / len(difference_RQ) for difference_RQ in repeated)
    return min(1.0, noise / len(differences) ** 2 / between)


def _interaction(difference_RQ: Floats) -> float:
    """Mean square of what neither seed nor question explains."""
    seeds, questions = difference_RQ.shape
    rest_RQ = difference_RQ - difference_RQ.mean(axis=1, keepdims=True) - difference_RQ.mean(axis=0)
    rest_RQ += difference_RQ.mean()
    return float((rest_RQ**2).sum() / ((seeds - 1) * (questions - 1)))


def _seed_deviations(differences: Sequence[Floats], parts: tuple[keyed.Part, ...], resamples: int) -> Floats:
    """Where the mean may lie under other seeds; base models with one seed tell nothing about theirs."""
    repeated = [difference_RQ.mean(axis=1) for difference_RQ in differences if len(difference_RQ) > 1]
    variances = [float(mean_R.var(ddof=1)) / mean_R.size / len(differences) ** 2 for mean_R in repeated]
    degrees = satterthwaite(variances, [mean_R.size - 1 for mean_R in repeated])
    if math.isinf(degrees):
        return np.zeros(resamples)
    drawn_B = keyed.generator("seeds", *parts).standard_t(degrees, size=resamples)
    return drawn_B * math.sqrt(sum(variances))


def _two_sided(outcome_B: Floats) -> float:
    smaller = min(int((outcome_B <= 1e-12).sum()), int((outcome_B >= -1e-12).sum()))
    return min(1.0, 2 * (smaller + 1) / (outcome_B.size + 1))
