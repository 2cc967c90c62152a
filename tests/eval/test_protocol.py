"""Records: what counts, what clashes, what stands under a table."""

from __future__ import annotations

from typing import Any

import pytest

from eval.protocol import ProtocolError, ProtocolRecord, content_digest, extraction_rules, line, same_protocol
from prefix_rft.data.schema import Demonstration, Message, Question
from prefix_rft.settings.grading import GradingSettings

RECORD = ProtocolRecord(
    name="avg32",
    split="test",
    questions=512,
    content="00112233aabbccdd",
    samples=32,
    temperature=0.6,
    top_p=1.0,
    max_tokens=32,
    seed=0,
    template="chain",
    grader="math-verify 0.9.0; answer: last_boxed, last_number",
    extraction=("last_boxed", "last_number"),
    verdict_seconds=5.0,
    sampler="local",
    sampler_version="torch 2.13.0, transformers 5.10.4",
)
CHANGES: dict[str, Any] = {
    "split": "validation",
    "questions": 511,
    "content": "ff",
    "samples": 8,
    "temperature": 1.0,
    "top_p": 0.95,
    "max_tokens": 64,
    "seed": 1,
    "template": "plain",
    "grader": "math-verify 0.5.2",
    "extraction": ("last_boxed",),
    "verdict_seconds": 1.0,
    "sampler": "vllm",
    "sampler_version": "vllm 0.10",
    "system": "Think.",
    "assistant_start": "<think>\n",
    "think": "after_close",
    "data_checked": False,
    "data_changes": ("aime24-3: missing",),
}


def test_every_field_but_name_and_notes_is_in_the_list() -> None:
    assert CHANGES.keys() == ProtocolRecord.model_fields.keys() - {"name", "notes"}


def test_a_record_without_later_fields_is_what_it_was_before_there_were_any() -> None:
    assert RECORD.digest == "258b8f50"
    written = RECORD.model_dump_json()
    assert written.endswith('"sampler":"local","sampler_version":"torch 2.13.0, transformers 5.10.4"}')
    assert '"notes"' not in written


@pytest.mark.parametrize("field", CHANGES)
def test_each_field_counts_and_is_named_when_it_clashes(field: str) -> None:
    other = RECORD.model_copy(update={field: CHANGES[field]})
    assert other.digest != RECORD.digest
    with pytest.raises(ProtocolError, match=rf"\n  {field}: .* and "):
        same_protocol([RECORD, RECORD, other])


def test_name_and_notes_do_not_count() -> None:
    other = RECORD.model_copy(update={"name": "ours", "notes": ("Not the paper's grader.",)})
    assert other.digest == RECORD.digest
    assert same_protocol([RECORD, other]) == RECORD


def test_all_clashes_are_named_at_once() -> None:
    others = [RECORD.model_copy(update={"samples": 8}), RECORD.model_copy(update={"seed": 3})]
    with pytest.raises(ProtocolError) as refused:
        same_protocol([RECORD, *others])
    assert "samples: 32 and 8" in str(refused.value)
    assert "seed: 0 and 3" in str(refused.value)


def test_no_record_is_no_protocol() -> None:
    with pytest.raises(ProtocolError, match="no score"):
        same_protocol([])


@pytest.mark.parametrize("changes", [{}, CHANGES | {"notes": ("a", "b")}])
def test_the_digest_outlives_a_trip_through_json(changes: dict[str, Any]) -> None:
    record = RECORD.model_copy(update=changes)
    back = ProtocolRecord.model_validate_json(record.model_dump_json())
    assert back == record
    assert back.digest == record.digest
    assert len(record.digest) == 8


def test_the_line_says_everything() -> None:
    text = line(RECORD)
    assert "\n" not in text
    for part in (RECORD.digest, "512 questions", "32 samples", "temperature 0.6", "top_p 1,", "seed 0"):
        assert part in text
    assert "graded by math-verify 0.9.0; answer: last_boxed, last_number within 5 s" in text
    assert "sampled by local (torch 2.13.0, transformers 5.10.4)" in text


def test_the_line_marks_changed_and_unchecked_data_and_tells_departures() -> None:
    changed = {"data_changes": ("a: missing", "b: missing"), "notes": ("Another grader.", "No system text.")}
    text = line(RECORD.model_copy(update=changed))
    assert "512 questions (content 00112233, CHANGED in 2 places) x" in text
    assert text.endswith(". Note: Another grader. Note: No system text.")
    text = line(RECORD.model_copy(update={"data_checked": False}))
    assert "(content 00112233, not checked against a known copy) x" in text


def test_the_line_tells_system_text_thinking_and_how_responses_begin() -> None:
    thinking = {"system": "Think.", "assistant_start": "<think>\n", "think": "required"}
    text = line(RECORD.model_copy(update=thinking))
    assert "template chain with a system text of 6 characters, responses begin with '<think>\\n';" in text
    assert "graded after </think>, wrong where there is none, by math-verify 0.9.0" in text
    text = line(RECORD.model_copy(update={"think": "after_close"}))
    assert "graded after </think>, whole where there is none, by math-verify" in text


def test_content_is_ids_messages_and_answers_in_any_order() -> None:
    one = Question(id="1", messages=(Message(role="user", content="a"),), answer="2")
    two = Question(id="2", messages=(Message(role="user", content="a"),), answer="2")
    digest = content_digest([one, two])
    assert digest == content_digest([two, one])
    shown = one.model_copy(update={"demonstrations": (Demonstration(text="t"),), "split": "test"})
    assert digest == content_digest([shown, two])
    for change in ({"id": "3"}, {"answer": "3"}, {"messages": (Message(role="user", content="b"),)}):
        assert digest != content_digest([one.model_copy(update=change), two])


def test_rules_show_their_marker() -> None:
    assert extraction_rules(GradingSettings(extract=("after_marker", "last_number"), marker=("A:", "#"))) == (
        "after_marker A:|#",
        "last_number",
    )
