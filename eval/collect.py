"""Samples to the disk as they come; what is there is not made again.

Axes: B rows (one sample each), S samples a question.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from eval.sampler import Decoding, Lost, Response, Sampler, SamplingError, StreamingSampler
from eval.samples import SAMPLES, VERDICTS, Pair, Sample, sample_key
from eval.shelf import Shelf

if TYPE_CHECKING:
    from eval.prompts import Prompt

PART_SECONDS = 30.0
"""Responses of a streaming sampler that wait for a full batch are written after this time."""


class Told(Protocol):
    """Told how far a stage is."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """`done` questions of `total`."""


@dataclass
class Collection:
    """The samples of one evaluation on their way to the disk."""

    folder: Path
    prompts: Sequence[Prompt]
    samples: int
    """S."""
    seed: int
    decoding: Decoding
    tell: Told
    again: str
    """What to do to get samples that are missing, for the error that names them."""
    held: set[Pair] = field(default_factory=set)
    """Samples on the disk."""
    lost: list[str] = field(default_factory=list)
    """Why samples were lost."""

    def __post_init__(self) -> None:
        self._shelf = Shelf(self.folder, SAMPLES)
        self._prompt_of = {prompt.id: prompt for prompt in self.prompts}
        self._pairs = [(prompt.id, index) for prompt in self.prompts for index in range(self.samples)]

    def complete(self, sampler: Sampler) -> None:
        """Make every sample that is not on the disk.

        Raises:
            SamplingError: samples are missing, after as many as could be had were written.
            DataError: a file is damaged.
            RunError: the disk is full or refuses.
        """
        if self._shelf.finished:
            self._shelf.must_hold(len(self._pairs))
            return
        # Verdicts on samples that are gone would be verdicts on nothing.
        Shelf(self.folder, VERDICTS).discard()
        self.held = self._shelf.pairs(self._pairs)
        try:
            self._stream(sampler) if isinstance(sampler, StreamingSampler) else self._batches(sampler)
        except SamplingError as error:
            raise SamplingError(self._missing(str(error))) from error
        if self.lost:
            raise SamplingError(self._missing(self.lost[-1]))
        self._shelf.finish(self._pairs)

    def _batches(self, sampler: Sampler) -> None:
        """Whole batches in a fixed order, so that a rerun is alike."""
        for batch in _chunks(self._pairs, _rows_together(sampler.batch, self.samples)):
            missing = [pair for pair in batch if pair not in self.held]
            if missing:
                prompts, keys = self._asked(missing)
                responses = sampler.sample(prompts, np.array(keys, dtype=np.uint64), self.decoding)
                self._write([_row(*row) for row in zip(missing, keys, responses, strict=True)])
            self._progress()

    def _stream(self, sampler: StreamingSampler) -> None:
        """One stream of all that is missing, in parts; also what came before an interruption is written."""
        missing = [pair for pair in self._pairs if pair not in self.held]
        prompts, keys = self._asked(missing)
        waiting: list[Sample] = []
        due = time.monotonic() + PART_SECONDS
        stream = sampler.stream(prompts, np.array(keys, dtype=np.uint64), self.decoding)
        try:
            with closing(stream):
                for row, outcome in stream:
                    if isinstance(outcome, Lost):
                        self.lost.append(f"sample {missing[row][1]} of {missing[row][0]!r}: {outcome.reason}")
                        continue
                    waiting.append(_row(missing[row], keys[row], outcome))
                    if len(waiting) >= sampler.batch or time.monotonic() >= due:
                        waiting = self._write(waiting)
                        due = time.monotonic() + PART_SECONDS
                        self._progress()
        finally:
            self._write(waiting)
        self._progress()

    def _asked(self, pairs: Sequence[Pair]) -> tuple[list[Prompt], list[int]]:
        keys = [sample_key(self.seed, question, index) for question, index in pairs]
        return [self._prompt_of[question] for question, _ in pairs], keys

    def _write(self, rows: list[Sample]) -> list[Sample]:
        """Rows to the disk; returns what waits then: nothing."""
        if rows:
            self._shelf.add(rows)
            self.held.update((row.question_id, row.sample) for row in rows)
        return []

    def _progress(self) -> None:
        self.tell("sampling", len(self.held) // self.samples, len(self.prompts))

    def _missing(self, reason: str) -> str:
        missing = len(self._pairs) - len(self.held)
        return (
            f"{missing} of {len(self._pairs)} samples are missing; the others are kept in {self.folder}.\n"
            f"{reason}\n{self.again}: it asks for the missing ones alone, with the seeds they would have had."
        )


def _row(pair: Pair, key: int, response: Response) -> Sample:
    question, index = pair
    return Sample(question, index, response.text, response.tokens, response.finished, key)


def _rows_together(batch: int, samples: int) -> int:
    """Whole questions where they fit a batch, so that their samples share a prompt."""
    return max(1, batch // samples) * samples if batch >= samples else batch


def _chunks(pairs: Sequence[Pair], size: int) -> Iterator[Sequence[Pair]]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]
