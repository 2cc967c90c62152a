"""1,590 problems with 32 responses each: real gold answers and real solutions, put together for timing.

The gold answers are those of AIME24, AIME25, AMC, MATH-500, Minerva and OlympiadBench; the texts are labelled solutions
of MATH whose last box is filled anew: with the gold answer, the same written otherwise, another problem's, or not at
all. About five distinct answers stand under a problem, as in samples of one model at temperature 0.6.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

BENCHMARKS = ("aime24", "aime25", "amc_83", "math500", "minerva_math", "olympiadbench_maths_en_675")
SOLUTIONS = ("math_qwen25math", "math_nemo_skills", "math_mrmath_human")
SHARES = {"gold": 0.4, "rewritten": 0.15, "wrong": 0.2, "another wrong": 0.15, "cut off": 0.1}
_BOX = re.compile(r"\\boxed\s*\{.*", re.DOTALL)


@dataclass(frozen=True)
class Work:
    """Q problems, S responses each."""

    gold_Q: list[str]
    response_QS: list[list[str]]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(gold answer, response), problem by problem."""
        return [
            (gold, text) for gold, texts in zip(self.gold_Q, self.response_QS, strict=True) for text in texts
        ]

    @property
    def size(self) -> tuple[int, int]:
        """(problems, responses of each)."""
        return len(self.gold_Q), len(self.response_QS[0])

    def parts(self, count: int) -> list[Work]:
        """The problems dealt into so many parts, one after the other, so that each has some of every benchmark."""
        return [Work(self.gold_Q[first::count], self.response_QS[first::count]) for first in range(count)]

    def some(self, most: int) -> Work:
        """At most so many problems, at equal distances."""
        step = max(1, len(self.gold_Q) // most)
        return Work(self.gold_Q[::step][:most], self.response_QS[::step][:most])


def make_work(data: Path, samples: int, most: int | None = None, seed: int = 0) -> Work:
    """The problems of all benchmarks, or `most` of them at equal distances."""
    draw = random.Random(seed)
    by_benchmark = [[row["answer"] for row in _rows(data / "eval" / f"{name}.jsonl")] for name in BENCHMARKS]
    openings = [
        _opening(row["response"]) for name in SOLUTIONS for row in _rows(data / "grader" / f"{name}.jsonl")
    ]
    chosen = [(gold, golds) for golds in by_benchmark for gold in golds]
    chosen = chosen[:: max(1, len(chosen) // most)][:most] if most else chosen
    return Work(
        [gold for gold, _ in chosen],
        [_responses(gold, golds, openings, samples, draw) for gold, golds in chosen],
    )


def made_up(problems: int, samples: int) -> Work:
    """Fractions and sums that nobody asks about, in a line of text: enough to see that every grader works."""
    golds = [
        rf"\frac{{{number + 1}}}{{{number + 3}}}" if number % 2 else str(number) for number in range(problems)
    ]
    draw = random.Random(0)
    return Work(golds, [_responses(gold, golds, ["So it is "], samples, draw) for gold in golds])


def _responses(
    gold: str, golds: list[str], openings: list[str], samples: int, draw: random.Random
) -> list[str]:
    boxes = {
        "gold": _box(gold),
        "rewritten": _box(_rewritten(gold)),
        "wrong": _box(draw.choice(golds)),
        "another wrong": _box(draw.choice(golds)),
        "cut off": "",
    }
    kinds = draw.choices(list(SHARES), weights=list(SHARES.values()), k=samples)
    return [f"{draw.choice(openings)}{boxes[kind]}" for kind in kinds]


def _rewritten(gold: str) -> str:
    """The same value in other signs, which a comparison of strings does not see."""
    if re.fullmatch(r"-?[0-9]+", gold):
        return f"{gold}.0"
    return rf"\left( {gold.strip('$')} \right)" if "," not in gold else f"{gold.strip('$')} "


def _box(answer: str) -> str:
    return rf"\boxed{{{answer.strip('$')}}}$."


def _opening(response: str) -> str:
    return _BOX.sub("", response)


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
