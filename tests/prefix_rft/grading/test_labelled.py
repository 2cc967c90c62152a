from __future__ import annotations

import json
from pathlib import Path

import pytest

from prefix_rft.errors import DataError
from prefix_rft.grading import Grade
from prefix_rft.grading.labelled import Kind, Labelled, compare, kind_of, load_labelled

GOOD = {"gold": "1", "response": "\\boxed{1}", "correct": True}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_byte_order_mark_crlf_blank_lines_and_line_separators_are_read(tmp_path: Path) -> None:
    row = json.dumps(GOOD | {"response": "a\u2028b"}, ensure_ascii=False)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"{row}\r\n\r\n{row}\r\n".encode())
    assert [(row.id, row.response) for row in load_labelled(path)] == [("1", "a\u2028b"), ("3", "a\u2028b")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"gold": "1", "response": "1"}, "row 2: field 'correct' is missing. Fields here: gold, response"),
        (GOOD | {"gold": 1}, "row 2: field 'gold' should be text, not int"),
        (GOOD | {"gold": " "}, "row 2: field 'gold' is empty"),
        (GOOD | {"response": None}, "row 2: field 'response' should be text, not NoneType"),
        (GOOD | {"correct": 1}, "row 2: field 'correct' should be true or false, not int"),
        ([1], "row 2: should be a JSON object"),
    ],
)
def test_a_malformed_row_is_named_by_file_row_and_field(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(DataError) as error:
        load_labelled(write(tmp_path / "rows.jsonl", GOOD, row))
    assert f"{tmp_path / 'rows.jsonl'}, {message}" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"\n \n", "has no rows"),
        (b'{"gold": "1"\n', "row 1: not JSON"),
        (b"[" * 100_000, "row 1: not JSON"),
        (b'{}\n{"gold": "\xff"}', "row 2: byte 0xff is not UTF-8"),
    ],
)
def test_a_file_that_is_no_jsonl_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_labelled(tmp_path / "rows.jsonl")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        load_labelled(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="Is a directory"):
        load_labelled(tmp_path)


def label(
    correct: bool, gold: str = "10000", extracted: str | None = None, has_options: bool = False
) -> Labelled:
    return Labelled("x", gold, "response", correct, extracted, has_options)


@pytest.mark.parametrize(
    ("row", "grade", "kind"),
    [
        (label(True), Grade(False, "timeout", "9!"), "timeout"),
        (label(True), Grade(False, "no_answer", None), "no answer found"),
        (label(True, has_options=True), Grade(False, "ok", "1"), "row asks for other rules"),
        (label(False), Grade(True, "ok", "$10000$"), "label looks wrong"),
        (label(False), Grade(True, "ok", "10{,}000"), "equal only as mathematics"),
        (label(False, extracted="3"), Grade(True, "ok", "10{,}000"), "another answer extracted"),
        (label(True, extracted="3"), Grade(False, "ok", "4"), "another answer extracted"),
        (label(True, extracted="4"), Grade(False, "ok", "4"), "values differ"),
        (label(True), Grade(False, "unparsed", "½"), "notation not read"),
    ],
)
def test_the_kind_of_a_disagreement(row: Labelled, grade: Grade, kind: Kind) -> None:
    assert kind_of(row, grade) == kind


def test_agreement_counts_both_kinds_of_error_and_adds_up() -> None:
    rows = [label(True), label(True), label(False), label(False)]
    grades = [
        Grade(True, "ok", "10000"),
        Grade(False, "timeout", "1"),
        Grade(True, "ok", "10000"),
        Grade(False, "ok", "1"),
    ]
    agreement = compare(rows, grades)
    assert (agreement.share, agreement.false_positives, agreement.false_negatives) == (0.5, 1, 1)
    total = agreement + compare(rows[:1], grades[:1])
    assert (total.rows, total.share, total.statuses["timeout"]) == (5, 0.6, 1)
