"""The record a score travels with: what was asked, how it was sampled, how it was graded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from prefix_rft.errors import PrefixRftError
from prefix_rft.settings.evaluation import EvaluationSettings
from prefix_rft.settings.grading import GradingSettings

if TYPE_CHECKING:
    from prefix_rft.data.schema import Question


class ProtocolError(PrefixRftError):
    """Numbers measured under different protocols were about to be mixed."""


class ProtocolRecord(BaseModel):
    """A measurement, described so that two scores with equal records may be compared."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    name: str
    """What people call the protocol; the only field that does not count."""
    split: str
    """Split of the data, or name of the benchmark."""
    questions: int
    """Number of questions."""
    content: str
    """Digest of the questions' ids, messages and answers (`content_digest`)."""
    samples: int
    """n: samples a question."""
    temperature: float
    """Sampling temperature; 0 is greedy."""
    top_p: float
    """Nucleus sampling; 1 keeps every token."""
    max_tokens: int
    """Longest response in tokens; a longer one is cut and graded as it stands."""
    seed: int
    """Seed of the samples."""
    template: str
    """How a question becomes a prompt."""
    grader: str
    """The grader with its version and rules, as `prefix_rft.grading.version` says it."""
    extraction: tuple[str, ...]
    """Rules that find the final answer, in the order tried."""
    verdict_seconds: float
    """Wall-clock limit of one verdict; beyond it the response counts as wrong."""
    sampler: str
    """What made the samples, e.g. local."""
    sampler_version: str
    """The sampler's software with versions."""

    @property
    def digest(self) -> str:
        """8 hex digits over every field that counts."""
        counts = self.model_dump(mode="json", exclude={"name"})
        text = json.dumps(counts, sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def describe(
    settings: EvaluationSettings,
    grading: GradingSettings,
    questions: Sequence[Question],
    *,
    split: str,
    max_tokens: int,
    template: str,
    grader: str,
    sampler: str,
    sampler_version: str,
) -> ProtocolRecord:
    """The record of an evaluation with these settings.

    Args:
        settings: name, samples, decoding and seed.
        grading: extraction rules and the limit of a verdict.
        questions: the questions asked.
        split: split of the data, or name of the benchmark.
        max_tokens: longest response.
        template: how a question becomes a prompt.
        grader: `prefix_rft.grading.version(grading)`.
        sampler: the sampler's name.
        sampler_version: the sampler's version.
    """
    return ProtocolRecord(
        name=settings.protocol,
        split=split,
        questions=len(questions),
        content=content_digest(questions),
        samples=settings.samples,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=max_tokens,
        seed=settings.seed,
        template=template,
        grader=grader,
        extraction=extraction_rules(grading),
        verdict_seconds=grading.timeout_seconds,
        sampler=sampler,
        sampler_version=sampler_version,
    )


def content_digest(questions: Sequence[Question]) -> str:
    """16 hex digits over ids, messages and answers; neither order nor demonstrations count."""
    lines = sorted(json.dumps(list(_shown(question)), ensure_ascii=False) for question in questions)
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def extraction_rules(grading: GradingSettings) -> tuple[str, ...]:
    """The rules in the order tried, the marker shown where one is used."""
    shown = {"after_marker": f"after_marker {'|'.join(grading.markers)}"}
    return tuple(shown.get(rule, rule) for rule in grading.extract)


def same_protocol(records: Sequence[ProtocolRecord]) -> ProtocolRecord:
    """The record that all of them share.

    Raises:
        ProtocolError: there is none, or they differ; names the differing fields and their values.
    """
    if not records:
        raise ProtocolError("there is no score, hence no protocol")
    first = records[0]
    clashes = {name: text for other in records[1:] for name, text in differences(first, other).items()}
    if clashes:
        listed = "".join(f"\n  {name}: {text}" for name, text in clashes.items())
        raise ProtocolError(
            f"scores measured under different protocols cannot stand side by side; they differ in{listed}\n"
            "Evaluate them under one protocol, or show them in separate tables."
        )
    return first


def differences(one: ProtocolRecord, other: ProtocolRecord) -> dict[str, str]:
    """Fields that count and differ, each with both values."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in ProtocolRecord.model_fields}
    return {name: f"{a!r} and {b!r}" for name, (a, b) in pairs.items() if name != "name" and a != b}


def line(record: ProtocolRecord) -> str:
    """The record as one line to stand under a table."""
    return (
        f"Protocol {record.name} ({record.digest}): {record.split}, {record.questions} questions "
        f"(content {record.content[:8]}) x {record.samples} samples, temperature {record.temperature:g}, "
        f"top_p {record.top_p:g}, at most {record.max_tokens} tokens, seed {record.seed}, "
        f"template {record.template}; graded by {record.grader} within {record.verdict_seconds:g} s; "
        f"sampled by {record.sampler} ({record.sampler_version})."
    )


def _shown(question: Question) -> Iterator[str]:
    yield question.id
    yield question.answer
    for message in question.messages:
        yield message.role
        yield message.content
