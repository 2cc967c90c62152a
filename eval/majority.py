"""maj@k: how often the answer that most of k samples give is right.

Samples vote by their extracted answer, as the exact string that stands in verdicts.parquet: "1/2" and "0.5" are two
candidates even where both are right. Responses without an answer do not vote; where nobody votes the question is lost.
A tie is broken by lot among the answers in front. A candidate counts as right by the share of its voters that were
judged right: all or none, unless a verdict timed out.

Axes: Q questions, S samples a question, K numbers a question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eval.intervals import Floats
from eval.scores import Estimate, estimate, powers_of_two
from prefix_rft import keyed

MOST_EXACT = 64
"""Up to so many samples every subset is counted; beyond, subsets are drawn."""
DRAWS = 1_000
"""Subsets drawn for a question, where they are drawn."""
FEWEST_VOTERS = 3
"""With fewer, a vote decides nothing: maj@1 and maj@2 are avg@1 where everybody answers."""


@dataclass(frozen=True)
class Ballot:
    """The votes on one question."""

    votes: tuple[int, ...]
    """Samples that gave each answer."""
    right: tuple[float, ...]
    """Share of these that were judged right, answer by answer."""
    silent: int
    """Samples without an answer."""

    @property
    def samples(self) -> int:
        """S."""
        return sum(self.votes) + self.silent


@dataclass(frozen=True)
class Majority:
    """maj@k."""

    k: int
    """Voters."""
    estimate: Estimate
    """Mean over questions; its error over samples is not estimated."""
    se_draws: float
    """Standard error because subsets were drawn; 0 where all were counted."""


def majority_at(samples: int) -> tuple[int, ...]:
    """The k reported: powers of two from 4 on, and S."""
    return tuple(k for k in powers_of_two(samples) if k >= FEWEST_VOTERS)


def majorities(cast: Sequence[Ballot], ks: Sequence[int], seed: int) -> tuple[Majority, ...]:
    """maj@k over questions for every k.

    Args:
        cast: one ballot a question, all of S samples; at least one.
        ks: voters, each between 1 and S; none where S is small.
        seed: key of the drawn subsets.

    Raises:
        ValueError: the ballots have different numbers of samples, or a k is out of range.
    """
    samples = {one.samples for one in cast}
    if len(samples) != 1:
        raise ValueError(f"ballots of one evaluation have the same number of samples, not {sorted(samples)}")
    if not ks:
        return ()
    found = [_question(one, tuple(ks), seed, place) for place, one in enumerate(cast)]
    value_QK, variance_QK = (np.array([pair[part] for pair in found]) for part in (0, 1))
    errors = np.sqrt(variance_QK.sum(axis=0)) / len(cast)
    return tuple(
        Majority(k, estimate(value_QK[:, place], None), float(errors[place])) for place, k in enumerate(ks)
    )


def ballot(answers: Sequence[str | None], correct: Sequence[bool]) -> Ballot:
    """The votes of one question's samples; answers by falling number of votes, then by share right."""
    hits: dict[str, list[bool]] = {}
    for answer, right in zip(answers, correct, strict=True):
        if answer is not None:
            hits.setdefault(answer, []).append(right)
    groups = sorted(((len(group), sum(group) / len(group)) for group in hits.values()), reverse=True)
    votes, shares = tuple(size for size, _ in groups), tuple(share for _, share in groups)
    return Ballot(votes, shares, len(answers) - sum(votes))


def ballots(answers: Sequence[str | None], correct_QS: NDArray[np.bool_]) -> list[Ballot]:
    """The votes of an evaluation, answers by question and sample."""
    samples = correct_QS.shape[1]
    return [
        ballot(answers[place * samples : (place + 1) * samples], correct_Q.tolist())
        for place, correct_Q in enumerate(correct_QS)
    ]


def chance_right(cast: Ballot, k: int) -> float:
    """The chance that the vote of k of the samples, drawn without replacement, is right; every subset is counted.

    Raises:
        ValueError: k is not between 1 and S.
    """
    return _chances(cast, (k,))[0]


def _question(
    cast: Ballot, ks: tuple[int, ...], seed: int, place: int
) -> tuple[Sequence[float], Sequence[float]]:
    """maj@k of one question for every k, and the variance of each from drawing."""
    if cast.samples <= MOST_EXACT:
        return _chances(cast, ks), [0.0] * len(ks)
    pairs = [_draw(cast, k, seed, place) if k < cast.samples and _open(cast) else _vote(cast) for k in ks]
    return [value for value, _ in pairs], [variance for _, variance in pairs]


def _open(cast: Ballot) -> bool:
    """Whether it matters who votes: some are right, and not everybody is."""
    return any(cast.right) and (min(cast.right) < 1 or cast.silent > 0)


def _vote(cast: Ballot) -> tuple[float, float]:
    """All samples vote: nothing is drawn."""
    front = [right for votes, right in zip(cast.votes, cast.right, strict=True) if votes == cast.votes[0]]
    return (sum(front) / len(front) if front else 0.0), 0.0


@lru_cache(maxsize=4096)
def _chances(cast: Ballot, ks: tuple[int, ...]) -> tuple[float, ...]:
    """For every k: the sum over answers g, votes j for it and ties t of the chance that g wins so.

    Answers given fewer than j times can never pass j: together they are one urn. For the others, a polynomial counts
    the ways to take i < j votes (x^i), or j of them and to tie (x^j y).
    """
    if any(not 1 <= k <= cast.samples for k in ks):
        raise ValueError(
            f"maj@k of {cast.samples} samples: k must lie between 1 and {cast.samples}, not {ks}"
        )
    chance = dict.fromkeys(ks, 0.0)
    for place, (votes, right) in enumerate(zip(cast.votes, cast.right, strict=True)):
        if right > 0:
            others = cast.votes[:place] + cast.votes[place + 1 :]
            for j in range(1, votes + 1):
                rest_X = _rest(others, cast.silent, j, max(ks) - j)
                for k in ks:
                    if j <= k:
                        ways = math.comb(votes, j) * rest_X[k - j] / math.comb(cast.samples, k)
                        chance[k] += right * ways
    return tuple(min(1.0, value) for value in chance.values())


def _rest(others: Sequence[int], silent: int, j: int, degree: int) -> Floats:
    """Ways to draw x votes from the others while none passes j, each weighed by 1 / (1 + ties); [degree + 1]."""
    below = silent + sum(votes for votes in others if votes < j)
    ways_TX: Floats = np.array([[math.comb(below, x) for x in range(degree + 1)]], dtype=np.float64)
    for votes in others:
        if votes >= j and degree >= 0:
            ways_TX = _with(ways_TX, votes, j)
    shares_T = 1 / np.arange(1, len(ways_TX) + 1)
    weighed: Floats = shares_T @ ways_TX
    return weighed


def _with(ways_TX: Floats, votes: int, j: int) -> Floats:
    """The same with one more answer, which takes fewer than j votes, or j and ties."""
    ties, width = ways_TX.shape
    more_TX = np.zeros((ties + 1, width))
    for i in range(min(j, width - 1) + 1):
        tied = int(i == j)
        more_TX[tied : ties + tied, i:] += math.comb(votes, i) * ways_TX[:, : width - i]
    return more_TX


def _draw(cast: Ballot, k: int, seed: int, place: int) -> tuple[float, float]:
    """maj@k from drawn subsets, and the variance of that."""
    rng = keyed.generator("majority", seed, place, k)
    counts_DG: NDArray[np.int64] = rng.multivariate_hypergeometric(
        [*cast.votes, cast.silent], k, size=DRAWS, method="count"
    )[:, :-1]
    front_DG = (counts_DG == counts_DG.max(axis=1, keepdims=True)) & (counts_DG > 0)
    right_D = (front_DG @ np.array(cast.right)) / np.maximum(front_DG.sum(axis=1), 1)
    return float(right_D.mean()), float(right_D.var(ddof=1)) / DRAWS
