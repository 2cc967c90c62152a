"""How the sources of published_results.csv measured, as far as they say.

Read in the papers and their repositories; docs/protocols.md puts them side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from analysis.published_results import PublishedResult
from eval.protocol import ProtocolRecord

Grader = Literal["Math-Verify", "OAT's", "rules of its own"]
Mark = Literal["t", "p", "l", "g", "n", "s", "c", "d"]
MEANING: dict[Mark, str] = {
    "t": "another temperature",
    "p": "another top_p",
    "l": "another longest response",
    "g": "another grader",
    "n": "another number of samples",
    "s": "another problem set: AMC has 83 problems, AMC23 the 40 of 2023",
    "c": "mean computed here from the numbers of the row",
    "d": "problems changed against the published set",
}
"""What stands after a number, in words. A question mark after a letter: the source does not say."""


@dataclass(frozen=True)
class How:
    """One source's settings; None where it does not say."""

    source: str
    """Beginning of the source's name."""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    grader: Grader | None = None


_KNOWN = (
    How("LUFFY", 0.6, 1.0, 8192, "OAT's"),
    How("ReLIFT", 0.6, 1.0, 8192, "Math-Verify"),
    How("Prefix-RFT", 0.6, 0.95),
    How("ZeroYuHuang/prefix_rft", 0.6, 0.95),
    How("HPT", 0.6, 0.95, 8192, "rules of its own"),
    How("SFT-then-RL", 0.6, None, 8192, "Math-Verify"),
    How("SRFT", 0.6, None, 8192, "OAT's"),
)
"""Prefix-RFT's top_p is that of its released settings; the settings of its runs were not released."""


def how(source: str) -> How:
    """What is known of a source; nothing of most."""
    return next((known for known in _KNOWN if source.startswith(known.source)), How(source))


def departures(result: PublishedResult, ours: ProtocolRecord) -> Iterator[str]:
    """Marks of what was measured in another way than here, and of what is not known to be alike.

    Rows that a source quotes from another paper are taken to be measured as the source says.
    """
    known = how(result.source)
    pairs: tuple[tuple[Mark, float | str | None, float | str | None], ...] = (
        ("t", known.temperature, ours.temperature),
        ("p", known.top_p, ours.top_p),
        ("l", known.max_tokens, ours.max_tokens),
        ("g", known.grader, our_grader(ours)),
        ("n", _samples(result.metric), ours.samples),
    )
    for mark, theirs, here in pairs:
        if theirs is None:
            yield f"{mark}?"
        elif theirs != here:
            yield mark


def our_grader(record: ProtocolRecord) -> str:
    """The grader of a record in the words of this module; another one by its own name."""
    return "Math-Verify" if "math-verify" in record.grader.lower().replace("_", "-") else record.grader


def _samples(metric: str) -> int | None:
    """n of avg@n; pass@1 of the papers is one sample; None of pass@k, whose samples are not said."""
    name, _, k = metric.partition("@")
    if name == "avg" or metric == "pass@1":
        return int(k)
    return None
