"""The grader: extraction, equality as strings, then math-verify in worker processes, remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import Self, cast

from prefix_rft.errors import GradingError
from prefix_rft.grading.cache import VerdictCache
from prefix_rft.grading.extract import extract, graded_part
from prefix_rft.grading.pool import Outcome, Pool
from prefix_rft.grading.strings import same_formula, same_number, same_text
from prefix_rft.grading.verdict import Counts, GoldCheck, Grade, Status, Verdict
from prefix_rft.settings.grading import GradingSettings

GRADER_VERSIONS = {"exact": 1, "math_verify": 2}
"""By verifier; raised with every change of this package that can change one of its verdicts."""

_ENTRY = "prefix_rft.grading.verify:respond"
_CACHED_VERDICTS = 100_000
_SCIENTIFIC = "scientific notation read, version 2"
"""Version 2 reads exponents with line breaks and tabs in them."""
_THINK = {
    "after_close": "of what follows </think>, else of all",
    "required": "of what follows </think>, else none",
}

Pair = tuple[str, str]
Progress = Callable[[int], None]
"""Called with a number of answers whenever there are more of them, or fewer left."""


def make_grader(settings: GradingSettings) -> Grader:
    """A grader by these settings; it starts no process before one is needed."""
    return Grader(settings)


def version(settings: GradingSettings) -> str:
    """The grader in a score's protocol line: the verifier, its version, and how answers are found."""
    name = "exact string"
    if settings.verifier == "math_verify":
        name = f"math-verify {metadata.version('math-verify')} or exact string"
    rules = [
        rule if rule != "after_marker" else f"after {'|'.join(settings.markers)}" for rule in settings.extract
    ]
    departures = [_THINK[settings.think]] if settings.think != "whole" else []
    departures += [_SCIENTIFIC] if settings.scientific else []
    return "; ".join(
        [name, f"answer: {', '.join(rules)}", *departures, f"grader {GRADER_VERSIONS[settings.verifier]}"]
    )


class Grader:
    """Grades responses against gold answers; use it as a context manager, or close it.

    With `math_verify` a pair that is not the same string is compared in a worker process, once: equal pairs
    of gold and extracted answer share a verdict. With `exact` nothing but whitespace around the answers is
    ignored and no process is started.
    """

    def __init__(
        self, settings: GradingSettings, *, entry: str = _ENTRY, cached: int = _CACHED_VERDICTS
    ) -> None:
        """Make a grader without starting a process.

        Args:
            settings: How answers are found and compared, and the limits.
            entry: "module:function" that the workers run.
            cached: Most verdicts that are remembered.
        """
        self.settings = settings
        self.version = version(settings)
        self._cache = VerdictCache(cached)
        self._counts = Counts()
        self._pool = Pool(
            entry,
            workers=settings.workers,
            timeout_seconds=settings.timeout_seconds,
            memory_mb=settings.memory_mb,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def counts(self) -> Counts:
        """What was graded so far, by status; hits of the cache; workers replaced."""
        self._counts.worker_restarts = self._pool.restarts
        return self._counts

    def grade(self, pairs: Sequence[Pair], progress: Progress | None = None) -> list[Grade]:
        """Grades of (gold answer, response) pairs, in their order.

        Args:
            pairs: As many as there are: the workers share them without waiting for one another.
            progress: Called with the number of pairs whose grade is known.

        Raises:
            GradingError: a gold answer is empty, the grader is closed, or no worker can be started.
        """
        golds = [gold for gold, _ in pairs]
        _refuse_empty_golds(golds)
        answers = [self._answer(response) for _, response in pairs]
        verdicts = self._verdicts(
            [(gold, answer) for gold, answer in zip(golds, answers, strict=True) if answer is not None],
            lambda remaining: progress(len(pairs) - remaining) if progress else None,
        )
        if progress is not None:
            progress(len(pairs))
        grades = [_grade(gold, answer, verdicts) for gold, answer in zip(golds, answers, strict=True)]
        self._counts.by_status.update(grade.status for grade in grades)
        return grades

    def check_gold(self, gold: str) -> GoldCheck:
        """What a gold answer allows: see `GoldCheck`."""
        return self.check_golds([gold])[0]

    def check_golds(self, golds: Sequence[str], progress: Progress | None = None) -> list[GoldCheck]:
        """What each gold answer allows; a reading that hits a limit counts as string_only.

        Args:
            golds: Each distinct one is read once.
            progress: Called with the number of distinct ones that have been read.
        """
        readable: dict[str, bool] = dict.fromkeys(golds, False)
        if self.settings.verifier == "math_verify":
            asked = [gold for gold in readable if gold.strip()]
            outcomes = self._pool.map([("is_mathematics", gold) for gold in asked], progress)
            readable.update(
                {gold: outcome.value is True for gold, outcome in zip(asked, outcomes, strict=True)}
            )
        return ["parsed" if readable[gold] else "string_only" if gold.strip() else "empty" for gold in golds]

    def start(self) -> None:
        """Start the workers now rather than at the first verdict, e.g. while a model generates."""
        if self.settings.verifier == "math_verify":
            self._pool.start()

    def close(self) -> None:
        """End the workers; a second call does nothing."""
        self._pool.close()

    def _answer(self, response: str) -> str | None:
        part = graded_part(response, self.settings.think)
        return None if part is None else extract(part, self.settings.extract, self.settings.markers)

    def _verdicts(self, found: Sequence[Pair], remaining: Progress) -> dict[Pair, Verdict]:
        if self.settings.verifier == "exact":
            return {(gold, answer): Verdict(same_text(gold, answer), "ok") for gold, answer in found}
        verdicts = _plain_verdicts(set(found))
        compared = [pair for pair in found if pair not in verdicts]
        verdicts |= self._remembered(compared)
        unknown = [pair for pair in dict.fromkeys(compared) if pair not in verdicts]
        for pair, verdict in zip(unknown, self._judge(unknown, remaining), strict=True):
            verdicts[pair] = verdict
            self._cache.put((*pair, self.version), verdict)
        self._counts.cache_hits += len(compared) - len(unknown)
        return verdicts

    def _remembered(self, pairs: Sequence[Pair]) -> dict[Pair, Verdict]:
        cached = {pair: self._cache.get((*pair, self.version)) for pair in pairs}
        return {pair: verdict for pair, verdict in cached.items() if verdict is not None}

    def _judge(self, pairs: Sequence[Pair], remaining: Progress) -> list[Verdict]:
        remaining(len(pairs))
        if not pairs:
            return []
        task = "judge_scientific" if self.settings.scientific else "judge"
        outcomes = self._pool.map(
            [(task, gold, answer) for gold, answer in pairs], lambda done: remaining(len(pairs) - done)
        )
        return [_verdict(outcome) for outcome in outcomes]


def _plain_verdicts(pairs: Iterable[Pair]) -> dict[Pair, Verdict]:
    """Verdicts that need no mathematics: the same string, or two plain numbers."""
    known = {pair: True if same_formula(*pair) else same_number(*pair) for pair in pairs}
    return {pair: Verdict(equal, "ok") for pair, equal in known.items() if equal is not None}


def _grade(gold: str, answer: str | None, verdicts: Mapping[Pair, Verdict]) -> Grade:
    if answer is None:
        return Grade(correct=False, status="no_answer", extracted=None)
    verdict = verdicts[gold, answer]
    return Grade(verdict.correct, verdict.status, answer)


def _verdict(outcome: Outcome) -> Verdict:
    if outcome.ending != "ok":
        return Verdict(correct=False, status=outcome.ending)
    correct, status = cast(tuple[bool, Status], outcome.value)
    return Verdict(correct, status)


def _refuse_empty_golds(golds: Sequence[str]) -> None:
    empty = [index for index, gold in enumerate(golds) if not gold.strip()]
    if empty:
        raise GradingError(
            f"{len(empty)} of {len(golds)} gold answers are empty (the first at index {empty[0]}). "
            "Leave these questions out, or give their answers."
        )
