"""Files of questions that were cut, flipped, renamed or written by something else: refused by name, never a crash."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefix_rft.data import jsonl, load
from prefix_rft.data.schema import Dataset
from prefix_rft.errors import DataError
from prefix_rft.settings import JsonlData, ParquetData, parse

KINDS = {"jsonl": JsonlData, "parquet": ParquetData}
QUESTIONS = 24


def _jsonl_rows() -> list[dict[str, Any]]:
    return [
        {"id": f"q{i}", "problem": f"What is {i} + é?", "answer": str(i), "solution": f"It is {i}."}
        for i in range(QUESTIONS)
    ]


def _parquet_rows() -> list[dict[str, Any]]:
    return [
        {
            "prompt": [{"role": "user", "content": f"What is {i} + é?"}],
            "target": [{"role": "assistant", "content": f"It is {i}."}],
            "reward_model": {"ground_truth": str(i), "style": "rule"},
            "extra_info": {"index": i, "split": "default"},
        }
        for i in range(QUESTIONS)
    ]


def _lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of a good file of each kind."""
    file = tmp_path_factory.mktemp("good") / "good.parquet"
    pq.write_table(pa.Table.from_pylist(_parquet_rows()), file)
    return {"jsonl": _lines(_jsonl_rows()), "parquet": file.read_bytes()}


def read(file: Path, kind: str, **more: Any) -> Dataset:
    values = {"path": str(file), "validation_questions": 0, "test_questions": 0, **more}
    return load(parse(KINDS[kind], values))


def refused(file: Path, kind: str, **more: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(file, kind, **more)
    assert str(file) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_file_is_read(good: dict[str, bytes], tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"train.{kind}"
    file.write_bytes(good[kind])
    assert len(read(file, kind).train) == QUESTIONS


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_damaged_it_is_read_or_refused_by_name(
    good: dict[str, bytes], tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    """Bits flipped, bytes zeroed, put in or cut off, with and without leave to skip rows."""
    content = bytearray(good[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        match data.draw(st.sampled_from(["flip", "zero", "insert", "cut"])):
            case "flip" if content:
                content[place] ^= 1 << data.draw(st.integers(0, 7))
            case "zero":
                length = min(data.draw(st.sampled_from([1, 16, 256])), len(content) - place)
                content[place : place + length] = bytes(length)
            case "insert":
                content[place:place] = data.draw(st.binary(min_size=1, max_size=9))
            case "cut":
                del content[place:]
    file = tmp_path / f"train.{kind}"
    file.write_bytes(content)
    for skip in (False, True):
        found = read_or_refused(file, kind, skip)
        assert (
            str(file) in found
            if isinstance(found, str)
            else all(q.id and q.text.strip() for q in found.train)
        )


def read_or_refused(file: Path, kind: str, skip: bool) -> Dataset | str:
    try:
        return read(file, kind, skip_bad_rows=skip)
    except DataError as error:
        return str(error)


def test_a_column_name_that_is_not_text_is_damage_too(good: dict[str, bytes], tmp_path: Path) -> None:
    file = tmp_path / "train.parquet"
    file.write_bytes(good["parquet"].replace(b"ground_truth", b"ground_tr\xec\xe5h"))
    assert "is damaged or is not a parquet file" in refused(file, "parquet")


@pytest.mark.parametrize("kind", KINDS)
def test_a_gzip_under_another_name_says_how_to_unpack_it(
    good: dict[str, bytes], tmp_path: Path, kind: str
) -> None:
    file = tmp_path / f"train.{kind}"
    file.write_bytes(gzip.compress(good[kind]))
    assert "compressed; unpack it first: `gunzip" in refused(file, kind, skip_bad_rows=True)


def test_each_kind_under_the_others_name_says_what_it_is(good: dict[str, bytes], tmp_path: Path) -> None:
    file = tmp_path / "train"
    file.write_bytes(good["parquet"])
    assert "it is a parquet file; read it with data=parquet" in refused(file, "jsonl", skip_bad_rows=True)
    file.write_bytes(good["jsonl"])
    assert "looks like JSON; read JSONL with data=jsonl" in refused(file, "parquet")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_named(good: dict[str, bytes], tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "train.jsonl"
    file.write_bytes(("\ufeff" + good["jsonl"].decode()).encode(encoding))
    assert "it is UTF-16; save it as UTF-8" in refused(file, "jsonl", skip_bad_rows=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"\n\n", b"\0" * 4096])
def test_an_empty_file_is_named(tmp_path: Path, kind: str, content: bytes) -> None:
    file = tmp_path / f"train.{kind}"
    file.write_bytes(content)
    said = refused(file, kind, skip_bad_rows=True)
    assert "has no rows" in said or "no usable row" in said or "is damaged" in said


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_and_a_file_that_may_not_be_read_are_named(
    good: dict[str, bytes], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.here").write_bytes(good[kind])
    assert "is a folder, not a file. Name one file in it: train.here" in refused(tmp_path, kind)
    if os.geteuid():
        (tmp_path / "train.here").chmod(0)
        assert "Check its permissions" in refused(tmp_path / "train.here", "jsonl")


BAD_LINES = [
    b'{"id": "n\0", "problem": "p", "answer": "1", "solution": "s"}',
    b'{"id": "q", "problem": "p\xc3\x28", "answer": "1", "solution": "s"}',
    b'{"id": "q", "problem": "p", "answer": 1e999999, "solution": "s"}',
    b'{"id": "q", "problem": "p", "answer": -1e999999, "solution": "s"}',
    b"\0\0\0\0",
    b'{"id": "q0", "problem": "another", "answer": "1", "solution": "s"}',
]


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_line_names_its_row_and_costs_nothing_else_where_rows_may_be_skipped(
    tmp_path: Path, bad: bytes
) -> None:
    file = tmp_path / "train.jsonl"
    first, *rest = _jsonl_rows()
    file.write_bytes(_lines([first]) + bad + b"\n" + _lines(rest))
    assert f"{file}, row 2" in refused(file, "jsonl")
    dataset = read(file, "jsonl", skip_bad_rows=True)
    assert (len(dataset.train), [row.row for row in dataset.skipped]) == (QUESTIONS, [2])


def test_a_line_without_an_end_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "LONGEST_ROW", 1 << 20)
    file = tmp_path / "train.jsonl"
    first, *rest = _jsonl_rows()
    file.write_bytes(_lines([first]) + b'{"id": "' + b"x" * (5 << 20) + b'"}\n' + _lines(rest))
    assert "row 2: the line is longer than 1 MiB" in refused(file, "jsonl")
    dataset = read(file, "jsonl", skip_bad_rows=True)
    assert (len(dataset.train), [row.row for row in dataset.skipped]) == (QUESTIONS, [2])
    file.write_bytes(_lines(rest) + b"x" * (5 << 20))
    assert [row.row for row in read(file, "jsonl", skip_bad_rows=True).skipped] == [QUESTIONS]


def test_a_run_whose_file_was_damaged_fails_by_itself(make_job: Callable[..., Any], data_path: Path) -> None:
    """The name of the run is that of the good file; what is read later is refused, and the state says why."""
    job, content = (
        make_job(optimisation={"rl": {"steps": 1, "questions_per_step": 6}}),
        data_path.read_bytes(),
    )
    try:
        data_path.write_bytes(content[:-20])
        code, said = job.finish()
        assert code == 1
        assert f"{data_path}, row 16: not JSON" in said
        assert "Mend the row" in job.run.state().error.message
    finally:
        data_path.write_bytes(content)
    job.finish_here()
    assert job.run.checkpoints()[-1].step == 1
