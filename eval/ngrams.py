"""Runs of words that texts share: an index of some texts, and a search for them in others.

Words are runs of letters and digits, case folded; everything between them (blanks, punctuation, operators, LaTeX's
backslashes, braces and dollars) only separates: `$x^2$, where` and `x^{2} where` are the same three words.

Axes: T words of a text, P texts of the index.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_WORD = re.compile(r"[^\W_]+")
_BASE = np.uint64(0x9E3779B97F4A7C15)

_SPARE = 32
"""Entries of the first table for each run: one in so many other runs gets past it."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a text shares with one text of the index."""

    text: int
    """The index's text, by its place."""
    longest: int
    """Words of the longest run that stands in both."""
    start: int
    """Where that run begins in the searched text, in words."""
    covered: int
    """Words of the index's text that stand in some shared run."""


def words(text: str) -> list[str]:
    """The words that are compared."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class Index:
    """Texts to be found in others by runs of n words; one of fewer words only as a whole."""

    def __init__(self, texts_P: Sequence[Sequence[str]], n: int) -> None:
        """Hash every run of n words.

        Args:
            texts_P: words of each text; one without words is never found.
            n: shortest run that counts.

        Raises:
            ValueError: n is not positive.
        """
        if n < 1:
            raise ValueError(f"a run has at least one word, not {n}")
        self._texts_P = texts_P
        self._tables = {size: _Table(texts_P, chosen, size) for size, chosen in _sizes(texts_P, n).items()}

    def search(self, text_T: Sequence[str]) -> Iterator[Match]:
        """What these words share with each text of the index, in its order; texts that share nothing are left out."""
        found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for size, hashes in _rolling(text_T, self._tables):
            for at in self._tables[size].hits(hashes):
                for text, place in self._tables[size].places(hashes[at]):
                    if text_T[at : at + size] == self._texts_P[text][place : place + size]:
                        found[text].append((at, place, size))
        for text in sorted(found):
            yield _match(text, found[text])


class _Table:
    """The runs of one size: sorted hashes, and where in which text each stands."""

    def __init__(self, texts_P: Sequence[Sequence[str]], chosen: Sequence[int], size: int) -> None:
        self._places: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for text in chosen:
            for _, hashes in _rolling(texts_P[text], (size,)):
                for place, value in enumerate(hashes.tolist()):
                    self._places[value].append((text, place))
        self._sorted = np.array(sorted(self._places), dtype=np.uint64)
        bits = (_SPARE * self._sorted.size).bit_length()
        self._shift = np.uint64(64 - bits)
        self._maybe = np.zeros(1 << bits, dtype=np.bool_)
        self._maybe[self._sorted >> self._shift] = True

    def hits(self, hashes: Hashes) -> list[int]:
        """Where in a text a run of the table begins."""
        # Nearly all runs stop here: one look into a small table costs a tenth of a search.
        likely = np.flatnonzero(self._maybe[hashes >> self._shift])
        nearest = self._sorted.searchsorted(hashes[likely])
        nearest[nearest == self._sorted.size] = 0
        places: list[int] = likely[self._sorted[nearest] == hashes[likely]].tolist()
        return places

    def places(self, value: np.uint64) -> list[tuple[int, int]]:
        """Texts and places of a run."""
        return self._places[int(value)]


def _sizes(texts_P: Sequence[Sequence[str]], n: int) -> dict[int, list[int]]:
    """Which texts are looked for by runs of which size."""
    chosen: dict[int, list[int]] = defaultdict(list)
    for place, text in enumerate(texts_P):
        if text:
            chosen[min(n, len(text))].append(place)
    return chosen


def _rolling(text_T: Sequence[str], sizes: Sequence[int] | dict[int, _Table]) -> Iterator[tuple[int, Hashes]]:
    """For each size asked for the hashes of all runs of so many words; a longer size builds on the shorter."""
    # Python's own hash differs from process to process; nothing of it leaves this one, and every hit is compared.
    hash_T = np.fromiter(map(hash, text_T), dtype=np.int64, count=len(text_T)).view(np.uint64)
    total, power = np.zeros(len(text_T) + 1, dtype=np.uint64), np.uint64(1)
    with np.errstate(over="ignore"):
        for size in range(1, min(max(sizes, default=0), len(text_T)) + 1):
            total = total[:-1] + hash_T[size - 1 :] * power
            power = power * _BASE
            if size in sizes:
                yield size, total


def _match(text: int, hits: Sequence[tuple[int, int, int]]) -> Match:
    """Hits that follow each other in both texts are one run."""
    longest, start, covered = 0, 0, set[int]()
    ending: dict[tuple[int, int], int] = {}
    """By place in both texts, where the run that a hit at that place continues began."""
    for at, place, size in hits:
        began = ending.get((at, place), at)
        ending[at + 1, place + 1] = began
        covered.update(range(place, place + size))
        if at + size - began > longest:
            longest, start = at + size - began, began
    return Match(text, longest, start, len(covered))
