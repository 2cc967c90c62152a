"""Nested shares and held-out rows: a keyed hash of the question's id decides, never the order of rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from prefix_rft import keyed
from prefix_rft.data.schema import SPLITS, Dataset, Question, Split
from prefix_rft.settings.data import DataSettings


def ranked(ids: Collection[str], *name: keyed.Part) -> list[str]:
    """The ids in the order of their keyed hashes; the first n of them lie inside the first n + 1."""
    return sorted(ids, key=lambda item: (keyed.share(*name, item), item))


def count(share: float, total: int) -> int:
    """How many of `total` a share is: the nearest whole number, at least 1 where anything is asked for."""
    return 0 if share == 0 or total == 0 else max(1, int(share * total + 0.5))


def apply_shares(dataset: Dataset, settings: DataSettings) -> Dataset:
    """Keep `fraction` of the training questions, and demonstrations on `demonstration_coverage` of them.

    Exact counts; 1% lies inside 10% lies inside 100%. Questions without any demonstration do not count
    towards the coverage.
    """
    train = take(dataset.train, settings.fraction, settings.subset_seed)
    return replace(dataset, train=cover(train, settings.demonstration_coverage, settings.subset_seed))


def take(questions: Sequence[Question], fraction: float, seed: int) -> tuple[Question, ...]:
    """The share of the questions, in their old order."""
    if fraction == 1:
        return tuple(questions)
    ids = ranked([question.id for question in questions], "fraction", seed)
    kept = set(ids[: count(fraction, len(ids))])
    return tuple(question for question in questions if question.id in kept)


def cover(questions: Sequence[Question], coverage: float, seed: int) -> tuple[Question, ...]:
    """The same questions; demonstrations stay on the share of those that have any."""
    if coverage == 1:
        return tuple(questions)
    ids = ranked([question.id for question in questions if question.demonstrations], "demonstrations", seed)
    kept = set(ids[: count(coverage, len(ids))])
    return tuple(
        question if question.id in kept else question.model_copy(update={"demonstrations": ()})
        for question in questions
    )


@dataclass(frozen=True)
class HeldOut:
    """Parts of one source, each in the source's order; no question text stands in two of the splits."""

    train: tuple[Question, ...]
    validation: tuple[Question, ...]
    test: tuple[Question, ...]
    repeats: tuple[Question, ...]
    """Further rows of held-out questions: they may neither train nor be asked twice."""


def hold_out(questions: Sequence[Question], validation: int, test: int) -> HeldOut:
    """Take exactly so many different questions for validation and for testing, by rank of the id's hash.

    Rows with the same question text are one question, ranked by its first row's id and held out as that row.
    """
    first: dict[str, str] = {}
    for question in questions:
        first.setdefault(question.text, question.id)
    ids = ranked(first.values(), "held out")
    part: dict[str, Split] = dict.fromkeys(ids[:test], "test")
    part.update(dict.fromkeys(ids[test : test + validation], "validation"))
    found: dict[Split, list[Question]] = {split: [] for split in SPLITS}
    repeats = []
    for question in questions:
        split = part.get(first[question.text], "train")
        if split != "train" and question.id != first[question.text]:
            repeats.append(question)
        else:
            found[split].append(question.model_copy(update={"split": split}))
    train, validation_part, test_part = (tuple(found[split]) for split in SPLITS)
    return HeldOut(train, validation_part, test_part, tuple(repeats))
