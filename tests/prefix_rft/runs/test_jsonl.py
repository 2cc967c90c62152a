"""Append-only records: a torn end is tolerated and repaired, a damaged line is not."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.errors import RunError
from prefix_rft.runs.jsonl import append_record, encode, read_records, rewrite_records

VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.text(), st.none(), st.booleans()
)
ROWS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), min_size=1, max_size=5)


@given(rows=ROWS, data=st.data())
def test_cut_at_any_byte_the_committed_rows_are_there_and_the_file_goes_on(
    rows: list[dict[str, object]], data: st.DataObject
) -> None:
    content = b"".join(encode(row) for row in rows)
    cut = data.draw(st.integers(0, len(content)))
    whole = content[:cut].count(b"\n")
    tail = content[:cut].rpartition(b"\n")[2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.jsonl")
        path.write_bytes(content[:cut])
        records = read_records(path)
        assert records.rows == rows[:whole]
        assert (records.torn is not None) == bool(tail)
        append_record(path, {"next": 1})
        assert read_records(path).rows == [*rows[:whole], {"next": 1}]
        assert read_records(path).torn is None


def test_floats_come_back_to_the_bit(tmp_path: Path) -> None:
    values = [0.1, 1e-310, 2**-1074, 1.7976931348623157e308, 1 / 3, -0.0]
    append_record(tmp_path / "file", {"values": values})
    (row,) = read_records(tmp_path / "file").rows
    assert [value.hex() for value in row["values"]] == [value.hex() for value in values]


@pytest.mark.parametrize("line", ["{'a': 1}", "[1]", '{"a": 1', "", "\0\0"])
def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n{{"a": 3}}\n')
    with pytest.raises(RunError, match=r"events\.jsonl, line 2, is damaged"):
        read_records(path)


def test_a_missing_file_holds_nothing(tmp_path: Path) -> None:
    assert read_records(tmp_path / "none").rows == []


def test_a_torn_line_longer_than_a_block_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b'{"a": 1}\n' + b"x" * 200_000)
    append_record(path, {"a": 2})
    assert read_records(path).rows == [{"a": 1}, {"a": 2}]


def test_a_full_disk_leaves_no_part_of_the_record(small_disk: Path) -> None:
    path = small_disk / "metrics.jsonl"
    append_record(path, {"a": 1})
    with pytest.raises(RunError, match="No space left on device"):
        append_record(path, {"a": "x" * (1 << 20)})
    assert path.read_bytes() == b'{"a": 1}\n'


def test_a_write_cut_short_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    append_record(tmp_path / "file", {"a": "a longer text"})
    assert (tmp_path / "file").read_text() == '{"a": "a longer text"}\n'


def _append_many(path: Path, name: str) -> None:
    for number in range(200):
        append_record(path, {"name": name, "number": number})


def test_two_processes_append_to_one_file(tmp_path: Path) -> None:
    path, fork = tmp_path / "file", multiprocessing.get_context("fork")
    processes = [fork.Process(target=_append_many, args=(path, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    rows = read_records(path).rows
    assert [row["number"] for row in rows if row["name"] == "a"] == list(range(200))
    assert [row["number"] for row in rows if row["name"] == "b"] == list(range(200))


def test_a_rewrite_replaces_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "file"
    append_record(path, {"a": 1})
    rewrite_records(path, [{"a": 2}, {"a": 3}])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": 2}, {"a": 3}]
