"""Our grader and our evaluation on the grading benchmark's responses."""

from __future__ import annotations

import random
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.grading_work import Work
from eval.evaluate import evaluate
from eval.prompts import Prompt
from eval.protocol import describe
from eval.sampler import Decoding, Response
from prefix_rft.data.schema import Message, Question
from prefix_rft.grading import Grade, Grader, make_grader
from prefix_rft.settings.evaluation import EvaluationSettings
from prefix_rft.settings.grading import GradingSettings

_MAX_NEW = 8192


@dataclass(frozen=True)
class Cost:
    """What grading some problems cost one grader, and what it found."""

    name: str
    problems: int
    samples: int
    processes: int
    wall: float
    cpu: float
    """Processor seconds, those of its workers among them."""
    correct: float
    """Share of responses that it called correct."""
    timeouts: int | None = None
    figures: dict[str, float] = field(default_factory=dict)
    """avg@n and pass@k, where they were asked for."""

    def plain(self) -> dict[str, Any]:
        """As JSON, without the name."""
        return {key: value for key, value in asdict(self).items() if key != "name"}

    @classmethod
    def sum(cls, costs: Sequence[Cost]) -> Cost:
        """Of several parts; shares and figures are weighted by the parts' problems."""
        first, total = costs[0], sum(cost.problems for cost in costs)
        weights = [cost.problems / total for cost in costs]
        return cls(
            first.name, total, first.samples, first.processes,
            sum(cost.wall for cost in costs), sum(cost.cpu for cost in costs),
            sum(weight * cost.correct for weight, cost in zip(weights, costs, strict=True)),
            None if first.timeouts is None else sum(cost.timeouts or 0 for cost in costs),
            {
                name: sum(weight * cost.figures[name] for weight, cost in zip(weights, costs, strict=True))
                for name in first.figures
            },
        )  # fmt: skip


def by_us(work: Work, workers: int) -> Cost:
    """All responses by a fresh grader, which has no verdict yet."""
    with make_grader(GradingSettings(workers=workers)) as grader:
        grader.start()
        wall, cpu = time.perf_counter(), _processor_seconds()
        grades = grader.grade(work.pairs)
        wall, cpu = time.perf_counter() - wall, _processor_seconds() - cpu
    timeouts = grader.counts.by_status["timeout"]
    return Cost("ours", *work.size, workers, wall, cpu, _share(grades), timeouts)


def alone(work: Work, count: int, workers: int) -> tuple[Cost, int]:
    """Some responses each on its own with nothing remembered; how many verdicts differ from those in the crowd."""
    with make_grader(GradingSettings(workers=workers)) as grader:
        crowd = grader.grade(work.pairs)
    chosen = random.Random(1).sample(range(len(crowd)), min(count, len(crowd)))
    with Grader(GradingSettings(workers=1), cached=1) as grader:
        grader.start()
        wall, cpu = time.perf_counter(), _processor_seconds()
        single = [grader.grade([work.pairs[index]])[0] for index in chosen]
        wall, cpu = time.perf_counter() - wall, _processor_seconds() - cpu
    differing = sum(crowd[index] != again for index, again in zip(chosen, single, strict=True))
    timeouts = grader.counts.by_status["timeout"]
    cost = Cost("ours, one at a time", len(chosen), 1, 1, wall, cpu, _share(single), timeouts)
    return cost, differing


def figures_by_us(work: Work, workers: int, ks: Sequence[int]) -> Cost:
    """An evaluation of responses that are there: stored, graded, scored, with intervals, as `prefix-rft eval` does."""
    grading = GradingSettings(workers=workers)
    settings = EvaluationSettings(samples=work.size[1], pass_at=tuple(ks))
    questions = [
        Question(id=f"q{number:05d}", messages=(Message(role="user", content=f"{number}"),), answer=gold)
        for number, gold in enumerate(work.gold_Q)
    ]
    prompts = [Prompt(question.id, messages=question.messages) for question in questions]
    sampler = _Replay(dict(zip((question.id for question in questions), work.response_QS, strict=True)))
    with make_grader(grading) as grader, tempfile.TemporaryDirectory() as folder:
        grader.start()
        record = describe(
            settings, grading, questions, split="test", max_tokens=_MAX_NEW, template="none",
            grader=grader.version, sampler=sampler.name, sampler_version=sampler.version,
        )  # fmt: skip
        wall, cpu = time.perf_counter(), _processor_seconds()
        scores = evaluate(
            Path(folder) / "evaluation", questions, prompts, sampler, grader, record, settings, _MAX_NEW
        )
        wall, cpu = time.perf_counter() - wall, _processor_seconds() - cpu
    figures = {name: estimate.value for name, estimate in scores.metrics.items()}
    return Cost("ours", *work.size, workers, wall, cpu, scores.headline.value, scores.timeouts, figures)


class _Replay:
    """Hands out the responses that are there, a question's in their order."""

    name, version, subject, batch = "replay", "replay 1", "the grading benchmark", 4096

    def __init__(self, response_QS: dict[str, list[str]]) -> None:
        self._left = {question: iter(texts) for question, texts in response_QS.items()}

    def sample(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> list[Response]:
        """See `eval.sampler.Sampler`."""
        return [Response(next(self._left[prompt.id]), 1, True) for prompt in prompts]


def _processor_seconds() -> float:
    """Of this process, its workers, and those of them that were replaced."""
    ended = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    running = [psutil.Process(), *psutil.Process().children()]
    return ended + sum(sum(process.cpu_times()[:2]) for process in running)


def _share(grades: Sequence[Grade]) -> float:
    return sum(grade.correct for grade in grades) / len(grades)
