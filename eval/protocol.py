"""The record a score travels with: what was asked, how it was sampled, how it was graded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from prefix_rft.errors import PrefixRftError
from prefix_rft.settings.evaluation import EvaluationSettings
from prefix_rft.settings.grading import GradingSettings, Think

if TYPE_CHECKING:
    from prefix_rft.data.schema import Question


class ProtocolError(PrefixRftError):
    """Numbers measured under different protocols were about to be mixed."""


_SILENT = {"name", "notes"}
"""Fields of a record that do not count."""
_LATER = ("system", "assistant_start", "think", "data_checked", "data_changes", "notes")
"""Fields that records did not always have."""


OF_ONE_BENCHMARK = {
    "split": "",
    "questions": 0,
    "content": "",
    "samples": 0,
    "data_checked": True,
    "data_changes": (),
}
"""Fields of a record that say which benchmark it was, emptied."""


class ProtocolRecord(BaseModel):
    """A measurement, described so that two scores with equal records may be compared."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    name: str
    """What people call the protocol; does not count."""
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
    system: str | None = None
    """System text put before every question, where the protocol has one."""
    assistant_start: str = ""
    """What every response was made to begin with."""
    think: Think = "whole"
    """What of a response with a thinking part is graded (`GradingSettings.think`)."""
    data_checked: bool = True
    """False for a benchmark whose content this project has no hash of: only the number of problems was checked."""
    data_changes: tuple[str, ...] = ()
    """How the content differs from the benchmark's, where that was allowed."""
    notes: tuple[str, ...] = ()
    """Known departures from the protocol that the name stands for; does not count."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Later fields are written only where they say something: older records keep their files and digests."""
        values: dict[str, Any] = dump(self)
        silent = {name for name in _LATER if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in values.items() if name not in silent}

    @property
    def digest(self) -> str:
        """8 hex digits over every field that counts."""
        counts = self.model_dump(mode="json", exclude=_SILENT)
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
    system: str | None = None,
    assistant_start: str = "",
    data_checked: bool = True,
    data_changes: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
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
        system: system text put before every question.
        assistant_start: what every response is made to begin with.
        data_checked: whether the content was compared with a hash (benchmarks).
        data_changes: allowed differences from the benchmark's content.
        notes: known departures from the protocol that the name stands for.
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
        system=system,
        assistant_start=assistant_start,
        think=grading.think,
        data_checked=data_checked,
        data_changes=data_changes,
        notes=notes,
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
    return {name: f"{a!r} and {b!r}" for name, (a, b) in pairs.items() if name not in _SILENT and a != b}


def line(record: ProtocolRecord) -> str:
    """The record as one line to stand under a table."""
    return f"Protocol {record.name} ({record.digest}): {_asked(record)}, {_how(record)}"


def lines(records: Sequence[ProtocolRecord]) -> str:
    """Records that differ in nothing but what was asked, as one line to stand under a table of all of them.

    Raises:
        ProtocolError: they differ in how it was asked; names the fields.
    """
    if len(records) == 1:
        return line(records[0])
    same_protocol([record.model_copy(update=OF_ONE_BENCHMARK) for record in records])
    asked = "; ".join(_asked(record) for record in records)
    notes = tuple(dict.fromkeys(note for record in records for note in record.notes))
    return (
        f"Protocol {records[0].name}: {asked}; all at {_how(records[0].model_copy(update={'notes': notes}))}"
    )


def _asked(record: ProtocolRecord) -> str:
    return (
        f"{record.split}, {record.questions} questions (content {record.content[:8]}{_data(record)}) x "
        f"{record.samples} samples"
    )


def _how(record: ProtocolRecord) -> str:
    return (
        f"temperature {record.temperature:g}, top_p {record.top_p:g}, at most {record.max_tokens} tokens, seed "
        f"{record.seed}, template {record.template}{_prompt(record)}; graded{_graded(record)} by {record.grader} "
        f"within {record.verdict_seconds:g} s; sampled by {record.sampler} ({record.sampler_version})."
        + "".join(f" Note: {note}" for note in record.notes)
    )


def _data(record: ProtocolRecord) -> str:
    changed = f", CHANGED in {len(record.data_changes)} places" if record.data_changes else ""
    return changed + ("" if record.data_checked else ", not checked against a known copy")


def _prompt(record: ProtocolRecord) -> str:
    system = "" if record.system is None else f" with a system text of {len(record.system)} characters"
    return system + (f", responses begin with {record.assistant_start!r}" if record.assistant_start else "")


def _graded(record: ProtocolRecord) -> str:
    return {
        "whole": "",
        "after_close": " after </think>, whole where there is none,",
        "required": " after </think>, wrong where there is none,",
    }[record.think]


def _shown(question: Question) -> Iterator[str]:
    yield question.id
    yield question.answer
    for message in question.messages:
        yield message.role
        yield message.content
