"""What both paths of generation share: limits, batches of similar length, and answers in the caller's order.

Axes: B rows, L tokens, S token ids that end a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prefix_rft.errors import TrainingError
from prefix_rft.local.policy import Generation
from prefix_rft.local.sampling import Sampler


@dataclass(frozen=True)
class Rows:
    """Rows to decode together, the shortest first."""

    known: list[Sequence[int]]
    """Token ids of each row so far."""
    length_B: NDArray[np.int64]
    """Their number."""
    limit_B: NDArray[np.int64]
    """Most tokens of the whole row, more than `length_B`."""
    start_B: NDArray[np.int64]
    """Response tokens among the known ones."""
    stop_S: NDArray[np.int64]
    """Token ids that end a row."""

    def stops_B(self, token_B: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each token ends its row."""
        stops: NDArray[np.bool_] = (token_B[:, None] == self.stop_S).any(1)
        return stops

    def table(self) -> NDArray[np.int64]:
        """The rows as one array of the width of the longest limit, zeros where nothing is known yet."""
        ids_BL = np.zeros((len(self.known), int(self.limit_B.max())), np.int64)
        for row, tokens in enumerate(self.known):
            ids_BL[row, : len(tokens)] = tokens
        return ids_BL


Decode = Callable[[Rows, Sampler], tuple[list[list[int]], int]]
"""Decodes rows: the new tokens of each, and the number of decode steps."""


@dataclass(frozen=True)
class Limits:
    """What the model and the settings allow."""

    context_length: int
    generation_batch: int
    stop_ids: tuple[int, ...]


def generate(
    decode: Decode,
    limits: Limits,
    prompts: Sequence[Sequence[int]],
    max_new: Sequence[int],
    key_B: NDArray[np.uint64],
    start_B: Sequence[int],
    temperature: float,
    top_p: float,
) -> Generation:
    """Decode all rows in batches of similar length; see `Policy.generate`."""
    length_B = np.array([len(prompt) for prompt in prompts], np.int64)
    _check(length_B, max_new, key_B, start_B, limits.context_length)
    limit_B = np.minimum(length_B + np.asarray(max_new, np.int64), limits.context_length)
    tokens: list[list[int]] = [[] for _ in prompts]
    stop_S = np.array(limits.stop_ids, np.int64)
    steps = 0
    for part in _batches(length_B, limit_B, limits.generation_batch):
        starts = np.asarray(start_B, np.int64)[part]
        rows = Rows([prompts[row] for row in part], length_B[part], limit_B[part], starts, stop_S)
        positions = int((starts + rows.limit_B - rows.length_B).max())
        written, taken = decode(rows, Sampler(key_B[part], positions, temperature, top_p))
        steps += taken
        for row, new in zip(part, written, strict=True):
            tokens[row] = new
    finished = [bool(new) and new[-1] in limits.stop_ids for new in tokens]
    return Generation(tokens, finished, steps)


def _batches(
    length_B: NDArray[np.int64], limit_B: NDArray[np.int64], size: int
) -> Iterator[NDArray[np.intp]]:
    """Indices of the rows that have room for a token, by length; equal parts rather than a small last one."""
    order = np.argsort(length_B, kind="stable")
    order = order[limit_B[order] > length_B[order]]
    return iter(np.array_split(order, -(-len(order) // size))) if len(order) else iter(())


def _check(
    length_B: NDArray[np.int64],
    max_new: Sequence[int],
    key_B: NDArray[np.uint64],
    start_B: Sequence[int],
    context_length: int,
) -> None:
    counts = {len(length_B), len(max_new), len(key_B), len(start_B)}
    if len(counts) > 1:
        raise ValueError(
            f"one entry a row is needed: {len(length_B)} prompts, {len(max_new)} limits, {len(key_B)} keys, "
            f"{len(start_B)} starts"
        )
    for row, length in enumerate(length_B):
        if not 0 < length <= context_length:
            raise TrainingError(f"row {row} has {length} tokens; the model takes 1 to {context_length}")
