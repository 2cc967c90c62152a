"""Verdicts already given: 32 samples of a question hold about five distinct answers."""

from __future__ import annotations

from collections import OrderedDict

from prefix_rft.grading.verdict import Verdict

Key = tuple[str, str, str]
"""Gold answer, extracted answer, version of the grader."""


class VerdictCache:
    """The verdicts used last, up to a fixed number."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._verdicts: OrderedDict[Key, Verdict] = OrderedDict()

    def __len__(self) -> int:
        return len(self._verdicts)

    def get(self, key: Key) -> Verdict | None:
        """The verdict, which counts as a use of it; None if it is not held."""
        if key in self._verdicts:
            self._verdicts.move_to_end(key)
        return self._verdicts.get(key)

    def put(self, key: Key, verdict: Verdict) -> None:
        """Hold a verdict; beyond the capacity the one unused for longest is dropped."""
        self._verdicts[key] = verdict
        self._verdicts.move_to_end(key)
        if len(self._verdicts) > self._capacity:
            self._verdicts.popitem(last=False)
