"""Which benchmark problems stand in a training set: runs of words shared with questions and with demonstrations.

Reported, never filtered: competition problems end in the same phrases, so that a short run proves nothing; `share` says
how much of a problem one training text holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from eval.benchmarks.load import Loaded
from eval.ngrams import Index, Match, words
from prefix_rft.data.schema import Question

Side = Literal["question", "demonstration"]
SIDES: tuple[Side, ...] = ("question", "demonstration")
RUN = 13
"""Shortest run of words that counts, as in GPT-3's decontamination (arXiv 2005.14165, appendix C)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """The training text that holds most of a problem."""

    problem: str
    """The problem's id."""
    words: int
    """Words of the problem."""
    training: str
    """Id of the training question."""
    longest: int
    """Words of the longest shared run."""
    share: float
    """Share of the problem's words that stand in shared runs; 1 where the training text holds all of it."""
    texts: int
    """Training questions whose text, or any of whose demonstrations, shares a run."""
    passage: str
    """The longest shared run, as compared."""


@dataclass(frozen=True)
class Overlap:
    """One benchmark's overlap with the training set's questions, or with its demonstrations."""

    benchmark: str
    """Name of the benchmark."""
    side: Side
    """What of the training set was searched."""
    problems: int
    """Problems of the benchmark."""
    short: int
    """Problems of fewer words than a run: found only where all their words stand in a row."""
    hits: tuple[Hit, ...]
    """Every problem that was found, those held by the largest share first."""

    @property
    def whole(self) -> int:
        """Problems that one training text holds completely."""
        return sum(hit.share == 1 for hit in self.hits)

    @property
    def half(self) -> int:
        """Problems of which one training text holds at least half."""
        return sum(hit.share >= 0.5 for hit in self.hits)


@dataclass(frozen=True)
class Contamination:
    """What was found, and in what."""

    run: int
    """Shortest run of words that counts."""
    questions: int
    """Training questions searched."""
    demonstrations: int
    """Demonstrations searched."""
    overlaps: tuple[Overlap, ...]
    """By benchmark, then questions before demonstrations."""


def contamination(
    train: Iterable[Question],
    benchmarks: Sequence[Loaded],
    *,
    run: int = RUN,
    progress: Callable[[int], None] | None = None,
) -> Contamination:
    """Search a training set for the problems of benchmarks.

    One training text is held as words at a time: memory grows with the benchmarks, not with the training set.

    Args:
        train: training questions with their demonstrations.
        benchmarks: what to look for.
        run: shortest run of words that counts.
        progress: called after every question with how many are done.

    Raises:
        ValueError: `run` is not positive.
    """
    problems = [problem for loaded in benchmarks for problem in loaded.problems]
    texts_P = [words(problem.problem) for problem in problems]
    searches = {side: _Search(Index(texts_P, run)) for side in SIDES}
    questions = demonstrations = 0
    for questions, question in enumerate(train, start=1):
        demonstrations += len(question.demonstrations)
        searches["question"].look(question.id, (question.text,))
        searches["demonstration"].look(question.id, tuple(item.text for item in question.demonstrations))
        if progress is not None:
            progress(questions)
    return Contamination(run, questions, demonstrations, tuple(_overlaps(benchmarks, searches, texts_P, run)))


@dataclass(slots=True)
class _Best:
    """The largest overlap with one problem so far."""

    match: Match
    training: str
    passage: str
    texts: int


class _Search:
    """Keeps the largest overlap with each problem."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.best: dict[int, _Best] = {}

    def look(self, training: str, texts: Sequence[str]) -> None:
        """Search the texts of one training question."""
        seen: set[int] = set()
        for text in texts:
            text_T = words(text)
            for match in self._index.search(text_T):
                self._keep(match, training, text_T, first=match.text not in seen)
                seen.add(match.text)

    def _keep(self, match: Match, training: str, text_T: Sequence[str], *, first: bool) -> None:
        best = self.best.get(match.text)
        if best is None or (match.covered, match.longest) > (best.match.covered, best.match.longest):
            passage = " ".join(text_T[match.start : match.start + match.longest])
            texts = 0 if best is None else best.texts
            best = self.best[match.text] = _Best(match, training, passage, texts)
        best.texts += first


def _overlaps(
    benchmarks: Sequence[Loaded], searches: dict[Side, _Search], texts_P: Sequence[list[str]], run: int
) -> Iterable[Overlap]:
    start = 0
    for loaded in benchmarks:
        places = range(start, start + len(loaded.problems))
        start = places.stop
        short = sum(len(texts_P[place]) < run for place in places)
        for side in SIDES:
            best = searches[side].best
            hits = [
                _hit(loaded.problems[place - places.start].id, len(texts_P[place]), best[place])
                for place in places
                if place in best
            ]
            hits.sort(key=lambda hit: (-hit.share, -hit.longest, hit.problem))
            yield Overlap(loaded.benchmark.name, side, len(places), short, tuple(hits))


def _hit(problem: str, size: int, best: _Best) -> Hit:
    share = best.match.covered / size
    return Hit(problem, size, best.training, best.match.longest, share, best.texts, best.passage)
