"""JSONL files: what is read, and how every kind of damage is reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefix_rft.data import Dataset, load
from prefix_rft.errors import DataError
from prefix_rft.settings import Columns, JsonlData, parse

Row = dict[str, Any]
Write = Callable[..., Path]


def row(index: int, **changes: Any) -> Row:
    plain = {
        "id": f"q{index}",
        "problem": f"What is {index}?",
        "answer": str(index),
        "solution": f"It is {index}.",
    }
    return {**plain, **changes}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(rows: list[Any], name: str = "train.jsonl") -> Path:
        lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in rows]
        file = tmp_path / name
        file.write_bytes(b"\n".join(lines) + b"\n")
        return file

    return _write


def read(file: Path, **settings: Any) -> Dataset:
    whole = {"validation_questions": 0, "test_questions": 0, "path": str(file), **settings}
    return load(parse(JsonlData, whole))


def test_a_row_becomes_a_question(write: Write) -> None:
    (question,) = read(write([row(7)])).train
    assert (question.id, question.answer, question.text) == ("q7", "7", "What is 7?")
    assert [(item.text, item.correct, item.source) for item in question.demonstrations] == [
        ("It is 7.", None, "solution")
    ]


def test_columns_are_named_by_the_settings(write: Write) -> None:
    file = write([{"uid": 3, "ask": "2+2?", "gold": 4.0, "demos": ["4", "5"], "right": [True, False]}])
    columns = Columns(id="uid", question="ask", answer="gold", demonstration="demos", correctness="right")
    (question,) = read(file, columns=columns).train
    assert (question.id, question.answer) == ("3", "4")
    assert [(item.text, item.correct) for item in question.demonstrations] == [("4", True), ("5", False)]


def test_rows_without_names_are_numbered_and_demonstrations_may_be_missing(write: Write) -> None:
    file = write([{"problem": "a", "answer": "1"}, {"problem": "b", "answer": "2"}])
    dataset = read(file, columns={"id": None, "demonstration": None})
    assert [(item.id, item.demonstrations) for item in dataset.train] == [("row-1", ()), ("row-2", ())]


def test_null_demonstration_is_none_at_all(write: Write) -> None:
    assert read(write([row(1, solution=None)])).train[0].demonstrations == ()


def test_messages_system_prompt_and_suffix(write: Write) -> None:
    turns = [{"role": "system", "content": "Old."}, {"role": "user", "content": "2+2?"}]
    file = write([row(1), row(2, problem=turns)])

    def contents(**settings: Any) -> list[list[str]]:
        train = read(file, **settings).train
        return [[message.content for message in question.messages] for question in train]

    assert contents(system_prompt="New.", question_suffix=" Box it.") == [
        ["New.", "What is 1? Box it."],
        ["Old.", "2+2? Box it."],
    ]
    assert contents(drop_system_prompt=True) == [["What is 1?"], ["2+2?"]]
    assert contents(drop_system_prompt=True, system_prompt="New.")[1] == ["New.", "2+2?"]


def test_marks_of_windows_and_blank_lines_are_passed_over(write: Write) -> None:
    first, second = (json.dumps(row(index)).encode() for index in (1, 2))
    dataset = read(write([b"\xef\xbb\xbf" + first + b"\r", b"", b"  \r", second + b"\r"]))
    assert [item.id for item in dataset.train] == ["q1", "q2"]


def test_unicode_line_separator_does_not_cut_a_row(write: Write) -> None:
    line = json.dumps(row(1, problem="a\u2028b\u0085c"), ensure_ascii=False).encode()
    assert read(write([line])).train[0].text == "a\u2028b\u0085c"


def test_row_of_five_megabytes_is_read(write: Write) -> None:
    text = "x" * 5_000_000
    assert read(write([row(1, solution=text)])).train[0].demonstrations[0].text == text


BAD_ROWS = [
    (b'{"id": "q2", "problem"', "", "not JSON"),
    (b'{"id": "\xff"}', "", "byte 9 is not UTF-8"),
    (b"[1, 2]", "", "a JSON object is expected, this is a list"),
    (b'{"id": "q2", "problem": "p", "answer": NaN, "solution": "s"}', "", "NaN is not JSON"),
    (b'{"answer": ' + b"9" * 5000 + b"}", "", "not usable JSON"),
    (b"[" * 100_000, "", "not usable JSON"),
    (row(2, solution=""), "solution", "it is empty"),
    (row(2, solution=" \n"), "solution", "it is empty"),
    (row(2, solution=["fine", ""]), "solution[1]", "it is empty"),
    (row(2, solution=7), "solution", "a text is expected, this is a number"),
    (row(2, answer=""), "answer", "it is empty"),
    (row(2, answer=None), "answer", "a text is expected, this is null"),
    (row(2, answer=["4"]), "answer", "a text is expected, this is a list"),
    (row(2, answer=True), "answer", "a text is expected, this is true or false"),
    (row(2, problem={"text": "p"}), "problem", "a text is expected, this is an object"),
    (row(2, problem="\ud800"), "problem", "surrogate"),
    (row(2, problem=[]), "problem", "the last message must be the user's"),
    (
        row(2, problem=[{"role": "robot", "content": "p"}]),
        "problem[0].role",
        "Known: system, user, assistant",
    ),
    (row(2, problem=[{"role": "user"}]), "problem[0].content", "a text is expected, this is null"),
    (row(2, id=""), "id", "it is empty"),
    (row(2, id="q1"), "id", "already that of"),
]


@pytest.mark.parametrize(("bad", "field", "reason"), BAD_ROWS)
def test_bad_row_is_refused_with_file_row_and_field(write: Write, bad: Any, field: str, reason: str) -> None:
    file = write([row(1), bad, row(3)])
    with pytest.raises(DataError) as refused:
        read(file)
    message = str(refused.value)
    assert message.startswith(f"{file}, row 2")
    assert (f"field {field!r}" in message) == bool(field)
    assert reason in message
    assert "data.skip_bad_rows=true" in message


def test_bad_rows_are_counted_and_listed_where_that_is_allowed(write: Write) -> None:
    rows = [row(index, id=f"r{index}") for index in range(5)]
    file = write([rows[0], *(bad for bad, _, _ in BAD_ROWS[:-1]), *rows[1:]])
    dataset = read(file, skip_bad_rows=True)
    assert [item.id for item in dataset.train] == ["r0", "r1", "r2", "r3", "r4"]
    assert [(bad.row, bad.field) for bad in dataset.skipped] == [
        (index, field) for index, (_, field, _) in enumerate(BAD_ROWS[:-1], start=2)
    ]
    assert {bad.file for bad in dataset.skipped} == {str(file)}


def test_missing_column_names_the_nearest_and_the_setting(write: Write) -> None:
    file = write([{"id": "q", "problems": "p", "answer": "1", "solution": "s"}])
    with pytest.raises(
        DataError, match=r"row 1, field 'problem'.*did you mean 'problems'.*data\.columns\.question"
    ):
        read(file)


def test_verdicts_must_match_the_demonstrations(write: Write) -> None:
    columns = {"correctness": "right"}
    with pytest.raises(DataError, match="field 'right': 2 verdicts for 1 demonstrations"):
        read(write([row(1, right=[True, False])]), columns=columns)
    with pytest.raises(DataError, match="field 'right': true, false or null is expected, this is a number"):
        read(write([row(1, right=1)]), columns=columns)


def test_missing_file_names_the_nearest(write: Write, tmp_path: Path) -> None:
    write([row(1)])
    with pytest.raises(DataError, match=r"there is no file .*trian\.jsonl: did you mean 'train\.jsonl'\?"):
        read(tmp_path / "trian.jsonl")
    with pytest.raises(DataError, match=r"the folder .*nowhere does not exist"):
        read(tmp_path / "nowhere" / "train.jsonl")
    with pytest.raises(DataError, match=r"is a folder, not a file.*train\.jsonl"):
        read(tmp_path)


def test_empty_file_and_file_without_a_usable_row(write: Write, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(DataError, match=r"empty\.jsonl has no rows"):
        read(tmp_path / "empty.jsonl")
    with pytest.raises(DataError, match="no usable row: all 2 are bad"):
        read(write([b"{", b"["]), skip_bad_rows=True)


def test_splits_from_their_own_files_must_not_share_questions(write: Write) -> None:
    train = write([row(1), row(2), row(3, problem="What is 9?")])
    test = write([row(9)], "test.jsonl")
    with pytest.raises(DataError, match=rf"{train}, row 3, field 'question'.*{test}, row 1"):
        read(train, test_path=str(test))
    dataset = read(train, test_path=str(test), skip_bad_rows=True)
    assert [item.id for item in dataset.train] == ["q1", "q2"]
    assert [item.split for item in dataset.test] == ["test"]
    assert len(dataset.skipped) == 1


def test_rows_are_held_out_where_no_file_is_given(write: Write) -> None:
    file = write([row(index) for index in range(100)])
    dataset = read(file, validation_questions=10, test_questions=20)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (70, 10, 20)


def test_repeats_of_held_out_questions_are_listed(write: Write) -> None:
    file = write([row(index, problem=f"What is {index % 5}?") for index in range(20)])
    dataset = read(file, validation_questions=1, test_questions=1)
    assert len(dataset.train) == 12
    assert len(dataset.skipped) == 6
    assert "held out" in dataset.skipped[0].reason


def test_too_few_rows_to_hold_any_out(write: Write) -> None:
    file = write([row(index) for index in range(20)])
    with pytest.raises(DataError, match=r"10 usable rows .*data\.limit=10.* none is left to train on"):
        read(file, limit=10, validation_questions=8, test_questions=8)


def test_digest_follows_every_part_of_the_content(write: Write) -> None:
    base = [row(1), row(2)]
    variants = [
        [row(1), row(2, answer="3")],
        [row(1), row(2, solution="Two.")],
        [row(1), row(2, solution=["It is ", "2."])],
        [row(1), row(2, problem="And 2?")],
        [row(2), row(1)],
        [row(1)],
    ]
    digests = [read(write(rows)).digest for rows in [base, base, *variants]]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 1 + len(variants)


@pytest.mark.parametrize(
    ("name", "questions", "skipped"), [("gsm8k_train_2000", 2000, 0), ("math_train_2000of7500", 1999, 1)]
)
def test_real_files_load(shared_data: Path, name: str, questions: int, skipped: int) -> None:
    dataset = read(shared_data / "train" / f"{name}.jsonl", skip_bad_rows=True)
    assert (len(dataset.train), len(dataset.skipped)) == (questions, skipped)
    assert all(item.demonstrations for item in dataset.train)
