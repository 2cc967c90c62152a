"""Files and parts: round trips, damage, a full disk."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.arrow import array_of
from eval.samples import (
    SAMPLES,
    VERDICTS,
    Sample,
    Verdict,
    count_rows,
    read_rows,
    read_table,
    sample_key,
    write_rows,
)
from eval.shelf import Shelf
from prefix_rft.errors import DataError, RunError

ROWS = [
    Sample("ä", 0, "#1$", 3, True, 2**64 - 1),
    Sample("ä", 1, "", 0, False, 0),
    Sample("b", 0, "π\n", 2, True, 7),
]
PAIRS = [("ä", 0), ("ä", 1), ("b", 0)]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel itself refuses to let files grow beyond `size` bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_rows_survive_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "samples.parquet"
    write_rows(path, SAMPLES, ROWS)
    assert [row for chunk in read_rows(path, SAMPLES, chunk=2) for row in chunk] == ROWS
    assert count_rows(path, SAMPLES) == 3
    assert [str(kind) for kind in pq.read_schema(path).types] == [
        "string",
        "int32",
        "string",
        "int32",
        "bool",
        "uint64",
    ]


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=20))
def test_strings_and_nulls_become_arrow_strings(values: list[str | None]) -> None:
    made = array_of(values, "string")
    made.validate(full=True)
    assert made.to_pylist() == values


@pytest.mark.parametrize(
    ("alias", "values"),
    [("int32", [-1, 2**31 - 1]), ("uint64", [0, 2**64 - 1]), ("bool", [True, False, True] * 5), ("bool", [])],
)
def test_numbers_and_truths_become_arrow_arrays(alias: str, values: list[int]) -> None:
    made = array_of(values, alias)
    made.validate(full=True)
    assert str(made.type) == alias
    assert made.to_pylist() == values


def test_a_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OverflowError):
        array_of([2**31], "int32")


def test_nothing_here_imports_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from eval.results import verdict_matrix;"
        "from eval.samples import VERDICTS, Verdict, read_rows; from eval.shelf import Shelf;"
        f"folder = Path({str(tmp_path)!r}); shelf = Shelf(folder, VERDICTS);"
        "shelf.add([Verdict('a', 0, True, 'ok', None)]); shelf.finish([('a', 0)]);"
        "list(read_rows(shelf.path, VERDICTS)); verdict_matrix(folder); print('pandas' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "False"


def test_a_verdict_without_an_answer_keeps_its_null(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    rows = [Verdict("a", 0, False, "no_answer", None), Verdict("a", 1, True, "ok", "")]
    write_rows(path, VERDICTS, rows)
    assert list(read_rows(path, VERDICTS)) == [rows]


def test_keys_name_seed_question_and_sample() -> None:
    keys = {sample_key(seed, name, index) for seed in (0, 1) for name in ("1", "11") for index in (0, 1, 11)}
    assert len(keys) == 12
    assert sample_key(0, "q", 0) == sample_key(0, "q", 0) < 2**64


def test_parts_become_one_file_in_the_order_asked_for(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SAMPLES)
    shelf.add(ROWS[1:])
    shelf.add(ROWS[:1])
    assert shelf.pairs(PAIRS) == set(PAIRS)
    assert not shelf.finished
    shelf.finish(PAIRS)
    assert shelf.finished
    assert next(read_rows(shelf.path, SAMPLES)) == ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["samples.parquet"]


def test_beyond_a_hundred_thousand_parts_none_takes_the_place_of_another(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SAMPLES)
    shelf.add(ROWS[:1])
    shelf.parts()[0].rename(shelf.parts_folder / "part-99999.parquet")
    for row in ROWS[1:]:
        shelf.add([row])
    assert [path.stem for path in shelf.parts()] == ["part-99999", "part-100000", "part-100001"]
    assert shelf.pairs(PAIRS) == set(PAIRS)


def test_no_flipped_bit_passes_unseen(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SAMPLES)
    shelf.add(ROWS)
    [path] = shelf.parts()
    sound, whole = path.read_bytes(), read_table(path, SAMPLES)
    unseen: list[int] = []
    refusals: set[bool] = set()
    for position in range(0, len(sound), 3):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ 0x10]) + sound[position + 1 :])
        try:
            if not read_table(path, SAMPLES).equals(whole):
                unseen.append(position)
        except DataError as error:
            refusals.add(str(error).startswith(f"{path} is damaged") and "Delete that file" in str(error))
    assert unseen == []
    assert refusals == {True}


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_a_truncated_part_is_named_with_what_to_do(tmp_path: Path, kept: int) -> None:
    shelf = Shelf(tmp_path, SAMPLES)
    shelf.add(ROWS[:2])
    shelf.add(ROWS[2:])
    first, second = shelf.parts()
    first.write_bytes(first.read_bytes()[:kept])
    with pytest.raises(
        DataError, match=r"part-00000.*Delete that file.*made again, the same ones; nothing else"
    ):
        shelf.pairs(PAIRS)
    first.unlink()
    assert shelf.pairs(PAIRS) == {("b", 0)}
    shelf.add(ROWS[:2])
    assert [path.name for path in shelf.parts()] == [second.name, "part-00002.parquet"]


def test_rows_twice_or_not_asked_for_are_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SAMPLES)
    shelf.add(ROWS)
    with pytest.raises(DataError, match="sample 0 of question 'b' though it is not asked for"):
        shelf.pairs(PAIRS[:2])
    shelf.add(ROWS[:1])
    with pytest.raises(DataError, match=r"part-00001.parquet holds sample 0 of question 'ä' twice"):
        shelf.pairs(PAIRS)
    with pytest.raises(DataError, match="3 rows it should"):
        shelf.finish(PAIRS)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "x.parquet", VERDICTS, [Verdict("a", 0, True, "ok", "1")])
    with pytest.raises(DataError, match="its columns are question_id, sample, correct"):
        read_table(tmp_path / "x.parquet", SAMPLES)
    with pytest.raises(DataError, match="there is no"):
        read_table(tmp_path / "y.parquet", SAMPLES)


def test_a_full_disk_loses_nothing_that_was_there(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, SAMPLES)
    shelf.add(ROWS[:2])
    with files_of_at_most(64), pytest.raises(RunError, match=r"part-00001\.parquet"):
        shelf.add(ROWS[2:])
    assert shelf.pairs(PAIRS) == {("ä", 0), ("ä", 1)}
    shelf.add(ROWS[2:])
    with files_of_at_most(64), pytest.raises(RunError, match=r"samples\.parquet"):
        shelf.finish(PAIRS)
    assert shelf.pairs(PAIRS) == set(PAIRS)
    shelf.finish(PAIRS)
    assert next(read_rows(shelf.path, SAMPLES)) == ROWS
