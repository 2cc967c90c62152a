"""Verdicts already given: 32 samples of a question hold about five distinct answers."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from prefix_rft.grading.verdict import Verdict

Key = tuple[str, str, str]
"""Gold answer, extracted answer, version of the grader."""

_LONGEST = 500
"""Characters of a part of a key that is held as it is: whole responses would fill the memory."""


class VerdictCache:
    """The verdicts used last, up to a fixed number."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._verdicts: OrderedDict[Key, Verdict] = OrderedDict()

    def __len__(self) -> int:
        return len(self._verdicts)

    def get(self, key: Key) -> Verdict | None:
        """The verdict, which counts as a use of it; None if it is not held."""
        key = _short(key)
        if key in self._verdicts:
            self._verdicts.move_to_end(key)
        return self._verdicts.get(key)

    def put(self, key: Key, verdict: Verdict) -> None:
        """Hold a verdict; beyond the capacity the one unused for longest is dropped."""
        key = _short(key)
        self._verdicts[key] = verdict
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > self._capacity:
            self._verdicts.popitem(last=False)


def _short(key: Key) -> Key:
    gold, answer, version = key
    return _name(gold), _name(answer), version


def _name(text: str) -> str:
    """The text, or a digest of a long one; no text looks like one by chance."""
    if len(text) <= _LONGEST:
        return text
    return "digest " + hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=32).hexdigest()
