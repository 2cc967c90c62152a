"""The layout of verl and LUFFY, from parquet and through the `datasets` library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefix_rft.data import Dataset, load
from prefix_rft.errors import DataError
from prefix_rft.settings import HubData, ParquetData, parse

TURN = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", TURN),
        ("target", TURN),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("ground_truth", pa.string()), ("style", pa.string())])),
        ("extra_info", pa.struct([("index", pa.int64()), ("split", pa.string())])),
        ("__index_level_0__", pa.int64()),
    ]
)
"""Columns of Elliott/Openr1-Math-46k-8192, keys in the order of its structs."""

Row = dict[str, Any]


def row(index: int, text: str | None = "<think>\nHm.\n</think>\nIt is \\boxed{4}.", **changes: Any) -> Row:
    plain = {
        "data_source": "",
        "prompt": [
            {"content": "Think first.", "role": "system"},
            {"content": f"What is {index}?", "role": "user"},
        ],
        "target": None if text is None else [{"content": text, "role": "assistant"}],
        "ability": "math",
        "reward_model": {"ground_truth": str(index), "style": "rule"},
        "extra_info": {"index": index, "split": "default"},
        "__index_level_0__": index,
    }
    return {**plain, **changes}


def write(file: Path, rows: list[Row], schema: pa.Schema = SCHEMA) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
    return file


def read(file: Path, **settings: Any) -> Dataset:
    whole = {"validation_questions": 0, "test_questions": 0, "path": str(file), **settings}
    return load(parse(ParquetData, whole))


def test_rows_in_the_exact_schema(tmp_path: Path) -> None:
    dataset = read(write(tmp_path / "train.parquet", [row(1), row(2, None)]))
    first, second = dataset.train
    assert (first.id, first.answer, first.text) == ("default-1", "1", "What is 1?")
    assert [message.role for message in first.messages] == ["system", "user"]
    assert [(item.text[:8], item.correct, item.source) for item in first.demonstrations] == [
        ("<think>\n", None, "target")
    ]
    assert second.demonstrations == ()


def test_prompt_of_the_paper_without_the_files_system_message(tmp_path: Path) -> None:
    file = write(tmp_path / "train.parquet", [row(1)])
    (question,) = read(file, drop_system_prompt=True, question_suffix="\nBox it.").train
    assert [message.content for message in question.messages] == ["What is 1?\nBox it."]


def test_several_targets_and_judged_demonstrations(tmp_path: Path) -> None:
    schema = SCHEMA.append(pa.field("target_lst", pa.list_(TURN)))
    schema = schema.append(pa.field("demos", pa.list_(pa.string())))
    schema = schema.append(pa.field("correctness", pa.list_(pa.bool_())))
    targets = [[{"content": text, "role": "assistant"}] for text in ("A", "B")]
    rows = [row(1, "A", target_lst=targets, demos=["C", "D"], correctness=[True, False])]
    (question,) = read(write(tmp_path / "train.parquet", rows, schema)).train
    assert [(item.text, item.correct, item.source) for item in question.demonstrations] == [
        ("A", None, "target"),
        ("B", None, "target_lst"),
        ("C", True, "demos"),
        ("D", False, "demos"),
    ]


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        (row(2, ""), "target[0].content", "it is empty"),
        (row(2, target=[]), "target", "a list of one message is expected, this is a list of 0"),
        (row(2, target=[{"content": "x", "role": "user"}]), "target[0].role", "not the user's"),
        (row(2, prompt=[]), "prompt", "the last message must be the user's"),
        (row(2, prompt=None), "prompt", "this is null"),
        (row(2, reward_model=None), "reward_model.ground_truth", "reward_model is null"),
        (
            row(2, reward_model={"ground_truth": " ", "style": "rule"}),
            "reward_model.ground_truth",
            "it is empty",
        ),
        (row(2, extra_info={"index": 1, "split": "default"}), "id", "'default-1' is already that of"),
    ],
)
def test_bad_row_is_refused_with_row_and_field(tmp_path: Path, bad: Row, field: str, reason: str) -> None:
    file = write(tmp_path / "train.parquet", [row(1), bad, row(3)])
    with pytest.raises(DataError) as refused:
        read(file)
    assert str(refused.value).startswith(f"{file}, row 2, field {field!r}: ")
    assert reason in str(refused.value)
    assert [item.id for item in read(file, skip_bad_rows=True).train] == ["default-1", "default-3"]


def test_rows_may_be_named_by_their_number(tmp_path: Path) -> None:
    same = {"index": 0, "split": "default"}
    file = write(
        tmp_path / "train.parquet",
        [row(1, extra_info=same), row(2, extra_info=same), row(3, extra_info=None)],
    )
    assert [item.id for item in read(file, ids="row").train] == ["row-1", "row-2", "row-3"]
    assert [item.id for item in read(file, skip_bad_rows=True).train] == ["default-0", "row-3"]


def test_text_that_is_not_utf8_costs_its_row_alone(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([row(1), row(2), row(3)], schema=SCHEMA)
    sources = pa.array([b"", b"\xff", b""], pa.binary()).view(pa.string())
    pq.write_table(table.set_column(0, "data_source", sources), tmp_path / "train.parquet")
    dataset = read(tmp_path / "train.parquet", skip_bad_rows=True)
    assert [item.id for item in dataset.train] == ["default-1", "default-3"]
    assert [(bad.row, bad.reason) for bad in dataset.skipped] == [(2, "a text in it is not UTF-8 (byte 1)")]


def test_missing_column_damaged_and_foreign_files(tmp_path: Path) -> None:
    renamed = pa.Table.from_pylist([row(1)], schema=SCHEMA).rename_columns(
        ["data_source", "prompts", *SCHEMA.names[2:]]
    )
    pq.write_table(renamed, tmp_path / "renamed.parquet")
    with pytest.raises(DataError, match=r"no column 'prompt'.*Did you mean 'prompts'"):
        read(tmp_path / "renamed.parquet")
    whole = write(tmp_path / "whole.parquet", [row(index) for index in range(100)]).read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"half\.parquet is damaged or is not a parquet file"):
        read(tmp_path / "half.parquet")
    (tmp_path / "middle.parquet").write_bytes(whole[:40] + bytes(400) + whole[440:])
    with pytest.raises(DataError, match=r"middle\.parquet is damaged"):
        read(tmp_path / "middle.parquet")
    (tmp_path / "text.parquet").write_text('{"prompt": 1}\n')
    with pytest.raises(DataError, match=r"text\.parquet is damaged or is not a parquet file"):
        read(tmp_path / "text.parquet")


def test_real_rows_of_luffys_validation_file(shared_data: Path, tmp_path: Path) -> None:
    lines = (shared_data / "schema" / "luffy_valid_all_6rows.jsonl").read_text(encoding="utf-8").splitlines()
    file = write(tmp_path / "valid.parquet", [{"target": None, **json.loads(line)} for line in lines])
    dataset = read(file)
    assert [question.id for question in dataset.train] == [
        f"{source}-default-0" for source in ("math", "olympiad_bench", "minerva", "aime", "amc", "aime25")
    ]
    system = (shared_data / "schema" / "luffy_system_prompt.txt").read_text(encoding="utf-8")
    assert {question.messages[0].content for question in dataset.train} == {system}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.usefixtures("offline")
def test_hub_rows_are_the_same_questions_as_parquet_rows(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    file = write(folder / "train.parquet", [row(1), row(2, None), row(3)])
    whole = {"repository": str(folder), "validation_questions": 0, "test_questions": 0}
    assert load(parse(HubData, whole)).digest == read(file).digest


@pytest.mark.usefixtures("offline")
def test_hub_splits_and_named_columns(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    for split, indices in {"train": (1, 2), "test": (3,)}.items():
        rows = [{"uid": index, "ask": f"{index}?", "gold": f"{index}", "worked": "So."} for index in indices]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
    columns = {"id": "uid", "question": "ask", "answer": "gold", "demonstration": "worked"}
    whole = {"repository": str(folder), "layout": "columns", "columns": columns, "test_split": "test"}
    dataset = load(parse(HubData, {**whole, "validation_questions": 0}))
    assert [item.id for item in dataset.train] == ["1", "2"]
    assert [(item.id, item.split) for item in dataset.test] == [("3", "test")]


@pytest.mark.usefixtures("offline")
def test_hub_without_a_network_names_the_repository_and_the_way_out() -> None:
    with pytest.raises(DataError) as refused:
        load(parse(HubData, {"repository": "nobody/nothing"}))
    message = str(refused.value)
    assert "split 'train' of nobody/nothing at main" in message
    assert "hf download --repo-type dataset nobody/nothing" in message
    assert "data=parquet data.path=" in message


@pytest.mark.usefixtures("offline")
def test_hub_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [row(1)])
    with pytest.raises(DataError, match="split 'dev' of"):
        load(parse(HubData, {"repository": str(tmp_path), "split": "dev"}))
