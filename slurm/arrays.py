"""From jobs to arrays: which go together, what each array waits for, and which index a job has. Pure.

A job of an array that waits for one job of another takes that one's index: `aftercorr` then pairs them, whichever
part of the sweep is submitted. Where several wait for the same job (runs on one base model) they are an array that
waits for it by `afterok`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from slurm.book import Entry, Key


@dataclass(frozen=True)
class Job:
    """One stage of one cell."""

    cell: str
    stage: str
    command: tuple[str, ...]
    """What the interpreter is given: -m, module, arguments."""
    after: Key | None = None
    """The stage that has to succeed first."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables it needs; no secrets, they are on disk."""
    cpus: int = 1
    """Cores it needs at least."""
    nodes: int | None = None
    """Nodes it uses; None: as many as the profile has for its stage."""

    @property
    def key(self) -> Key:
        """Cell and stage."""
        return self.cell, self.stage


@dataclass(frozen=True)
class After:
    """What an array waits for."""

    token: str
    """Another array."""
    index: int | None = None
    """One job of it; None: each waits for the one with its own index."""

    def text(self, job: str) -> str:
        """As sbatch has it, where the other array has this number."""
        return f"aftercorr:{job}" if self.index is None else f"afterok:{job}_{self.index}"


@dataclass(frozen=True)
class Draft:
    """An array that can be submitted once those before it are."""

    entry: Entry
    jobs: Mapping[int, Job]
    """By index."""
    after: After | None


def arrange(
    jobs: Sequence[Job], live: Mapping[Key, tuple[str, int]], most: int, new_token: Callable[[str], str]
) -> list[Draft]:
    """The arrays for some jobs, each after those it waits for.

    Args:
        jobs: what is to be submitted; what it waits for is among it, or live, or done.
        live: array (token) and index of what is submitted already and not over.
        most: jobs of one array.
        new_token: names an array of a stage.
    """
    placed = dict(live)
    drafts = []
    for wave in _waves(jobs):
        for after, indices, members in _groups(wave, placed, most):
            token = new_token(members[0].stage)
            numbered = dict(zip(indices, members, strict=True))
            parents = {index: job.after for index, job in numbered.items() if job.after is not None}
            cells = {index: job.cell for index, job in numbered.items()}
            drafts.append(Draft(Entry(token, members[0].stage, cells, parents), numbered, after))
            placed |= {job.key: (token, index) for index, job in numbered.items()}
    return drafts


def within(jobs: Sequence[Job], room: int) -> tuple[list[Job], list[Job]]:
    """The jobs of the first cells that fit, and the others: a cell goes with all its jobs, after its parents."""
    of_cell: dict[str, list[Job]] = {}
    for job in jobs:
        of_cell.setdefault(job.cell, []).append(job)
    taken: list[Job] = []
    left: set[Key] = set()
    for members in of_cell.values():
        waits_for_left = any(job.after in left for job in members)
        if waits_for_left or len(taken) + len(members) > room:
            left |= {job.key for job in members}
        else:
            taken += members
    chosen = {job.key for job in taken}
    return [job for job in jobs if job.key in chosen], [job for job in jobs if job.key in left]


def _waves(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs of one stage, and of equally many nodes, that are equally far from the beginning."""
    depths: dict[Key, int] = {}
    waves: dict[tuple[int, str, int], list[Job]] = {}
    for job in jobs:
        depths[job.key] = depths.get(job.after, -1) + 1 if job.after is not None else 0
        waves.setdefault((depths[job.key], job.stage, job.nodes or 0), []).append(job)
    for _, wave in sorted(waves.items(), key=lambda item: item[0][0]):
        yield wave


Group = tuple[After | None, Iterable[int], list[Job]]


def _groups(wave: list[Job], placed: Mapping[Key, tuple[str, int]], most: int) -> Iterator[Group]:
    by_parent: dict[str | None, list[tuple[int, Job]]] = {}
    for job in wave:
        token, index = placed.get(job.after, (None, 0)) if job.after is not None else (None, 0)
        by_parent.setdefault(token, []).append((index, job))
    for parent, members in by_parent.items():
        if parent is None:
            yield from _chunks(None, [job for _, job in members], most)
        elif max(Counter(index for index, _ in members).values()) == 1:
            yield After(parent), [index for index, _ in members], [job for _, job in members]
        else:
            children: dict[int, list[Job]] = {}
            for index, job in members:
                children.setdefault(index, []).append(job)
            for index, waiting in children.items():
                yield from _chunks(After(parent, index), waiting, most)


def _chunks(after: After | None, jobs: list[Job], most: int) -> Iterator[Group]:
    for start in range(0, len(jobs), most):
        chunk = jobs[start : start + most]
        yield after, range(len(chunk)), chunk
