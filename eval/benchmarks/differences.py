"""How a copy of a benchmark differs from the one whose hashes the project carries, problem by problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from eval.benchmarks.digests import Entry, entry, text_digest
from eval.benchmarks.schema import AnswerKind, Benchmark, Problem


@dataclass(frozen=True)
class Compared:
    """A copy next to the manifest."""

    problems: tuple[Problem, ...]
    """The copy's problems under the manifest's names and in its order; others after them."""
    changes: tuple[str, ...]
    """One line for each difference, e.g. `aime24-3: another gold answer`; none where the copy is the benchmark."""


def compare(benchmark: Benchmark, found: Sequence[Problem], expected: Sequence[Entry]) -> Compared:
    """Match a copy with the manifest: by text first, since copies name problems differently, then by name."""
    claimed = _claims(benchmark, found, expected)
    others = _unique(
        [problem for index, problem in enumerate(found) if index not in claimed], claimed.values()
    )
    named = {name: replace(found[index], id=name) for index, name in claimed.items()}
    changes = [line for item in expected for line in _changes(item, named.get(item.id), benchmark.answer)] + [
        f"{problem.id}: not in the benchmark" for problem in others
    ]
    return Compared((*(named[item.id] for item in expected if item.id in named), *others), tuple(changes))


def repeated(problems: Sequence[Problem]) -> list[str]:
    """Names that several problems have."""
    counts = Counter(problem.id for problem in problems)
    return [name for name, count in counts.items() if count > 1]


def _claims(benchmark: Benchmark, found: Sequence[Problem], expected: Sequence[Entry]) -> dict[int, str]:
    """For places in `found` the manifest's name, each name once."""
    by_text = {item.problem: item.id for item in expected}
    prefix = f"{benchmark.name}-"
    passes: tuple[Callable[[Problem], tuple[str | None, ...]], ...] = (
        lambda problem: (by_text.get(text_digest(problem.problem)),),
        lambda problem: (problem.id, problem.id.removeprefix(prefix)),
    )
    free = {item.id for item in expected}
    claimed: dict[int, str] = {}
    for names_of in passes:
        for index, problem in enumerate(found):
            name = next((name for name in names_of(problem) if name in free), None)
            if index not in claimed and name is not None:
                claimed[index] = name
                free.remove(name)
    return claimed


def _unique(problems: Sequence[Problem], taken: Collection[str]) -> list[Problem]:
    """The problems under names that differ from each other and from those taken."""
    names = set(taken)
    renamed = []
    for problem in problems:
        name, number = problem.id, 1
        while name in names:
            number += 1
            name = f"{problem.id}#{number}"
        names.add(name)
        renamed.append(replace(problem, id=name))
    return renamed


def _changes(expected: Entry, problem: Problem | None, kind: AnswerKind) -> Iterator[str]:
    if problem is None:
        yield f"{expected.id}: missing"
        return
    found = entry(problem, kind)
    if found.problem != expected.problem:
        yield f"{expected.id}: another problem text"
    if found.answer != expected.answer:
        yield f"{expected.id}: another gold answer"
