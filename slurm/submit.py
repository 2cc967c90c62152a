"""Submission: what is neither done nor live becomes arrays, chained, each on record before and after SLURM takes it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slurm import queue
from slurm.arrays import After, Draft, Job, arrange, within
from slurm.book import Book, Entry, Key, new_token
from slurm.commands import Slurm
from slurm.errors import CommandError, SubmissionError
from slurm.limits import array_size, room
from slurm.profile import Profile
from slurm.script import Array, script
from slurm.task import CLOSED_FILE, ENDS, TASKS_FILE

SCRIPT_FILE = "script.sh"
_ACROSS_NODES = ("-m", "slurm.ray_cluster")
_USUAL_ARRAY = 1000
"""Where the cluster cannot be asked: what SLURM has unless it is told otherwise."""
_SBATCH_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Terms:
    """How jobs are submitted."""

    profile: Profile
    python: str
    """Interpreter on the nodes."""
    name: str = "cells"
    """Of the jobs, before the stage."""
    folder: str = field(default_factory=os.getcwd)
    """Where the stages start: relative paths in settings mean what they meant to who submitted."""
    at_a_time: int | None = None
    """Most jobs of an array that run together; null takes the profile's."""


@dataclass
class Outcome:
    """What a submission came to."""

    submitted: list[Entry] = field(default_factory=list)
    done: set[Key] = field(default_factory=set)
    live: set[Key] = field(default_factory=set)
    """Submitted before, and not over."""
    left: set[Key] = field(default_factory=set)
    """Without room in the queue."""

    @property
    def keys(self) -> set[Key]:
        """What was submitted now."""
        return {(cell, entry.stage) for entry in self.submitted for cell in entry.cells.values()}

    def waiting(self, jobs: Iterable[Job]) -> list[Job]:
        """Those that are neither done nor live."""
        settled = self.done | self.live
        return [job for job in jobs if job.key not in settled]


def submit(
    slurm: Slurm,
    book: Book,
    jobs: Sequence[Job],
    terms: Terms,
    *,
    is_done: Callable[[Key], bool],
    snapshot: Callable[[], Path | None],
    prepare: Callable[[Collection[Key]], None] = lambda keys: None,
    last: Job | None = None,
) -> Outcome:
    """Submit what is neither done nor live; two that ask at once submit each job once.

    Args:
        slurm: the cluster.
        book: of the cells' folder.
        jobs: parents before those that wait for them.
        terms: profile and interpreter.
        is_done: whether a stage's results are there.
        snapshot: makes the folder with the code; called only if something is submitted.
        prepare: told what is about to be submitted, before it is; also where that is nothing.
        last: starts when everything is over, however it ended; only if something is submitted.

    Raises:
        SubmissionError: SLURM refused; what it took before is on record and goes on.
        CommandError: SLURM does not answer; nothing was submitted.
    """
    with book.lock() as held:
        recover(slurm, book)
        outcome, live = _sort(slurm, book, jobs, is_done)
        waiting = outcome.waiting(jobs)
        taken, left = within(waiting, room(slurm, terms.profile) - (last is not None))
        outcome.left = {job.key for job in left}
        prepare({job.key for job in taken})
        if not taken:
            return outcome
        code = snapshot()
        drafts = arrange(taken, live, array_size(slurm, terms.profile), new_token)
        entries = {entry.token: entry for entry in book.entries()}
        for draft in drafts:
            _send(slurm, book, draft, terms, code, entries, held, outcome)
        if last is not None:
            final = _final(last, drafts, new_token(last.stage))
            ends = {str(entry.job) for entry in outcome.submitted} | _jobs_of(live, entries)
            _send(
                slurm,
                book,
                final,
                terms,
                code,
                entries,
                held,
                outcome,
                f"afterany:{':'.join(sorted(ends, key=int))}",
            )
        return outcome


def rehearse(
    slurm: Slurm | None,
    book: Book,
    jobs: Sequence[Job],
    terms: Terms,
    *,
    is_done: Callable[[Key], bool],
    code: Path | None,
) -> list[tuple[Draft, str]]:
    """The arrays that `submit` would make now, with their scripts; submits nothing, writes nothing.

    Args:
        slurm: the cluster; None where it cannot be asked: then nothing counts as live.
        book: of the cells' folder.
        jobs: parents before those that wait for them.
        terms: profile and interpreter.
        is_done: whether a stage's results are there.
        code: where the snapshot would be.
    """
    numbers = iter(range(1, 1 + len(jobs)))
    if slurm is None:
        outcome = Outcome(done={job.key for job in jobs if is_done(job.key)})
        live: dict[Key, tuple[str, int]] = {}
        most = terms.profile.max_array_size or _USUAL_ARRAY
    else:
        outcome, live = _sort(slurm, book, jobs, is_done)
        most = array_size(slurm, terms.profile)
    waiting = outcome.waiting(jobs)
    drafts = arrange(waiting, live, most, lambda stage: f"{next(numbers)}-{stage}")
    known = {entry.token: str(entry.job) for entry in book.entries()}
    names = {draft.entry.token: f"<array {draft.entry.token.partition('-')[0]}>" for draft in drafts}
    return [
        (draft, script_of(draft, terms, code, dependency_of(draft.after, known | names))) for draft in drafts
    ]


def recover(slurm: Slurm, book: Book) -> None:
    """Find out about arrays whose submission was cut off; the lock is held.

    Raises:
        CommandError: SLURM does not answer.
    """
    for entry in book.entries():
        if not entry.open:
            continue
        job = queue.by_comment(slurm, entry.token) or _begun(book, entry)
        if job is None:
            folder = book.array(entry.token)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / CLOSED_FILE).touch()
            book.close(entry, "the submission was cut off, and SLURM does not know it")
        else:
            book.submitted(entry, job)


def _sort(
    slurm: Slurm, book: Book, jobs: Sequence[Job], is_done: Callable[[Key], bool]
) -> tuple[Outcome, dict[Key, tuple[str, int]]]:
    places = book.places()
    wanted = {job.key: places[job.key] for job in jobs if job.key in places}
    seen = queue.look(slurm, {str(place.entry.job): place.entry.token for place in wanted.values()})
    outcome, live = Outcome(), {}
    for job in jobs:
        place = wanted.get(job.key)
        if place is not None and place.ref in seen and seen[place.ref].live:
            outcome.live.add(job.key)
            live[job.key] = (place.entry.token, place.index)
        elif is_done(job.key):
            outcome.done.add(job.key)
    return outcome, live


def _jobs_of(live: Mapping[Key, tuple[str, int]], entries: Mapping[str, Entry]) -> set[str]:
    return {str(entries[token].job) for token, _ in live.values()}


def _final(job: Job, drafts: Sequence[Draft], token: str) -> Draft:
    return Draft(Entry(token, job.stage, {0: job.cell}), {0: job}, None)


def _send(
    slurm: Slurm,
    book: Book,
    draft: Draft,
    terms: Terms,
    code: Path | None,
    entries: dict[str, Entry],
    held: int,
    outcome: Outcome,
    dependency: str | None = None,
) -> None:
    entry, folder = draft.entry, book.array(draft.entry.token)
    after = dependency or _dependency(draft.after, entries)
    try:
        folder.mkdir(parents=True)
        (folder / ENDS).mkdir()
        (folder / SCRIPT_FILE).write_text(script_of(draft, terms, code, after))
        (folder / TASKS_FILE).write_text(json.dumps(tasks_of(draft, terms), indent=1))
    except OSError as error:
        raise SubmissionError(
            f"cannot write {folder}: {error.strerror}. Of this array nothing was submitted. Make room or give "
            "yourself the right to write there, then give the same command again."
        ) from error
    book.plan(entry)
    try:
        job = slurm.submit(folder, SCRIPT_FILE, held=held, timeout=_SBATCH_PATIENCE_SECONDS)
    except CommandError as error:
        if not error.unsure:
            book.close(entry, str(error))
        raise SubmissionError(_refused(entry, error, outcome)) from error
    book.submitted(entry, job)
    entries[entry.token] = entry
    outcome.submitted.append(entry)


def dependency_of(after: After | None, jobs: Mapping[str, str]) -> str | None:
    """As sbatch has it, given the numbers of arrays by token."""
    return None if after is None else after.text(jobs[after.token])


def _dependency(after: After | None, entries: Mapping[str, Entry]) -> str | None:
    return None if after is None else dependency_of(after, {after.token: str(entries[after.token].job)})


def script_of(draft: Draft, terms: Terms, code: Path | None, dependency: str | None) -> str:
    """The batch script of an array."""
    array = Array(
        name=f"{terms.name}-{draft.entry.stage}",
        stage=draft.entry.stage,
        token=draft.entry.token,
        indices=tuple(draft.jobs),
        dependency=dependency,
        at_a_time=terms.at_a_time,
        cpus=max(job.cpus for job in draft.jobs.values()),
        nodes=_nodes(draft),
    )
    return script(array, terms.profile, terms.python, code)


def _nodes(draft: Draft) -> int | None:
    """Of each of its jobs, which all use equally many."""
    return next(iter(draft.jobs.values())).nodes


def tasks_of(draft: Draft, terms: Terms) -> dict[str, object]:
    """What the jobs of an array do, as data."""
    several = (_nodes(draft) or terms.profile.of(draft.entry.stage).nodes) > 1
    before = _ACROSS_NODES if several else ()
    tasks = {
        str(index): {
            "cell": job.cell,
            "command": [*before, *job.command],
            "environment": dict(job.environment),
        }
        for index, job in draft.jobs.items()
    }
    return {"folder": terms.folder, "max_requeues": terms.profile.max_requeues, "tasks": tasks}


def _begun(book: Book, entry: Entry) -> str | None:
    """Number of an array that SLURM has forgotten already, from what its jobs wrote down."""
    for path in (book.array(entry.token) / ENDS).glob("*.json"):
        return str(json.loads(path.read_text())["ref"]).partition("_")[0]
    return None


def _refused(entry: Entry, error: CommandError, outcome: Outcome) -> str:
    taken = sum(len(one.cells) for one in outcome.submitted)
    before = f"{taken} jobs before it are submitted and go on" if taken else "nothing was submitted"
    return f"{entry.stage} of {len(entry.cells)} cells: {error}\n{before}; the same command submits what is missing"
