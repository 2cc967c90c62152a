"""What grading says: a grade for every response, and the counts behind a run's grades."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

Status = Literal["ok", "no_answer", "unparsed", "timeout", "out_of_memory", "crashed", "error"]
"""How a verdict came about.

ok: compared; no_answer: no extraction rule found an answer; unparsed: math-verify could not read the gold
answer or the response's, so only strings were compared; timeout, out_of_memory: the worker was ended at its
limit; crashed: the worker died; error: math-verify raised. Only `ok` and `unparsed` can be correct.
"""

STATUSES: tuple[Status, ...] = get_args(Status)

GoldCheck = Literal["empty", "string_only", "parsed"]
"""What a gold answer allows.

empty: nothing to compare with, refused; string_only: only the very same string counts as correct; parsed:
mathematical equality (with the verifier `exact`, every answer that is not empty is string_only).
"""


@dataclass(frozen=True)
class Verdict:
    """Whether an extracted answer equals the gold answer, and how that was found."""

    correct: bool
    status: Status


@dataclass(frozen=True)
class Grade:
    """The grade of one response; `extracted` is the answer found in it, None where there is none."""

    correct: bool
    status: Status
    extracted: str | None


@dataclass
class Counts:
    """What a grader has done since it was made."""

    by_status: Counter[Status] = field(default_factory=Counter)
    """Grades by status, those from the cache included."""
    cache_hits: int = 0
    """Grades that needed no comparison: an equal pair of gold and extracted answer had been judged before."""
    worker_restarts: int = 0
    """Workers that were replaced: killed at a limit, or dead."""

    def as_dict(self) -> dict[str, int]:
        """All counts under flat names, statuses without grades included."""
        statuses = {status: self.by_status[status] for status in STATUSES}
        return statuses | {"cache_hits": self.cache_hits, "worker_restarts": self.worker_restarts}
