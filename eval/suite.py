"""One model on published benchmarks under a named protocol: prompts, samples, verdicts, scores, benchmark by benchmark.

Axes: S samples a problem.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eval.benchmarks.load import Loaded
from eval.evaluate import Progress, evaluate
from eval.frames import SCIENTIFIC, Evaluated
from eval.protocol import ProtocolRecord, describe
from eval.protocols.rendering import prompt, question
from eval.protocols.schema import EvaluationProtocol
from eval.results import Claim, Scores, claim
from eval.samples import VERDICTS, samples_path
from eval.scores import powers_of_two
from eval.shelf import Shelf
from prefix_rft import grading
from prefix_rft.runs.atomic import write_bytes
from prefix_rft.settings.evaluation import EvaluationSettings

if TYPE_CHECKING:
    from eval.prompts import Prompt
    from eval.sampler import Sampler
    from prefix_rft.data.encode import Encoder
    from prefix_rft.data.schema import Question
    from prefix_rft.grading import Grader
    from prefix_rft.settings.grading import GradingSettings

MakeGrader = Callable[["GradingSettings"], "Grader"]


@dataclass(frozen=True)
class Asked:
    """How a model is measured on one benchmark, everything settled."""

    loaded: Loaded
    """The problems."""
    protocol: EvaluationProtocol
    """As it asks the model's family."""
    samples: int
    """S."""
    max_tokens: int
    """Longest response."""
    seed: int
    """Of the samples."""
    family: str | None = None
    """The model's family, for the record where the protocol asks it in a way of its own."""

    @property
    def questions(self) -> list[Question]:
        """What is asked and graded."""
        return [question(self.protocol, problem) for problem in self.loaded.problems]

    def prompts(self, encoder: Encoder | None) -> list[Prompt]:
        """The problems as the sampler gets them; see `eval.protocols.rendering.prompt`."""
        return [prompt(self.protocol, problem, encoder) for problem in self.loaded.problems]

    def settings(self, name: str) -> EvaluationSettings:
        """As the evaluation stage takes them."""
        return EvaluationSettings(
            protocol=name,
            samples=self.samples,
            temperature=self.protocol.temperature,
            top_p=self.protocol.top_p,
            seed=self.seed,
            pass_at=powers_of_two(self.samples),
        )

    def _template(self, sampler: Sampler) -> str:
        """Who makes a prompt of the messages: the protocol, for a family of models; or the server, unseen."""
        if sampler.name.endswith(" chat"):
            return "the server's own"
        # A protocol that asks all families alike compares models of all of them.
        own = self.family if self.family in self.protocol.families else "any family"
        return f"{self.protocol.rendering}, {own}"

    def record(self, rules: GradingSettings, sampler: Sampler, name: str) -> ProtocolRecord:
        """What the scores will carry."""
        protocol, loaded = self.protocol, self.loaded
        return describe(
            self.settings(name),
            rules,
            self.questions,
            split=loaded.benchmark.name,
            max_tokens=self.max_tokens,
            template=self._template(sampler),
            grader=grading.version(rules),
            sampler=sampler.name,
            sampler_version=sampler.version,
            system=protocol.system,
            assistant_start=protocol.assistant_start,
            data_checked=loaded.checked,
            data_changes=loaded.changes,
            notes=protocol.notes,
        )


def measure(
    asked: Asked,
    sampler: Sampler,
    encoder: Encoder | None,
    folder: Path,
    *,
    make_grader: MakeGrader = grading.make_grader,
    workers: int = 1,
    progress: Progress | None = None,
    again: str = "Run the same command again",
) -> Evaluated:
    """Evaluate on one benchmark; what is on the disk is kept, whatever interrupted it.

    Args:
        asked: problems and protocol.
        sampler: writes the responses.
        encoder: of the model; None behind an endpoint that renders the messages itself.
        folder: holds the samples, verdicts and scores afterwards; of this benchmark and protocol alone.
        make_grader: of grading rules.
        workers: grading processes.
        progress: told of the stages.
        again: how to ask for what is missing in the end.

    Raises:
        DataError: a prompt cannot be rendered, or a file is damaged.
        SamplingError: the sampler could not make all samples; those it made are kept.
        SettingsError: the prompts and responses do not fit the model's context.
    """
    name, rules = asked.protocol.name, asked.protocol.grading
    record = asked.record(rules, sampler, name)
    prompts, questions = asked.prompts(encoder), asked.questions

    def scored(where: Path, rules: GradingSettings, record: ProtocolRecord) -> Scores:
        with make_grader(rules.model_copy(update={"workers": workers})) as grader:
            return evaluate(
                where, questions, prompts, sampler, grader, record, asked.settings(record.name), asked.max_tokens,
                progress, again,
            )  # fmt: skip

    scores = scored(folder, rules, record)
    if not asked.loaded.benchmark.scientific:
        return Evaluated(folder, scores)
    normalised = rules.model_copy(update={"scientific": True})
    beside, described = folder / SCIENTIFIC, asked.record(normalised, sampler, f"{name}.{SCIENTIFIC}")
    claim(beside, Claim(subject=sampler.subject, protocol=described))
    _same_samples(folder, beside)
    return Evaluated(folder, scores, scored(beside, normalised, described))


def place(asked: Asked, sampler: Sampler, root: Path) -> Path:
    """<root>/<benchmark>/<protocol>-<digest>: whatever changes the measurement changes the folder."""
    return folder_of(asked.record(asked.protocol.grading, sampler, asked.protocol.name), root)


def folder_of(record: ProtocolRecord, root: Path) -> Path:
    """Where a measurement on a benchmark is kept."""
    return root / record.split / f"{record.name}-{record.digest}"


def _same_samples(folder: Path, beside: Path) -> None:
    """The samples once more in another folder, without a second copy on the disk where it knows links.

    Samples that were made again, which servers without seeds make differently, replace those there with their verdicts.
    """
    own, there = samples_path(folder), samples_path(beside)
    if there.exists():
        if filecmp.cmp(own, there, shallow=False):
            return
        there.unlink()
        Shelf(beside, VERDICTS).discard()
    try:
        os.link(own, there)
    except OSError:
        write_bytes(there, own.read_bytes())
