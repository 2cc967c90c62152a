"""Made-up questions in exactly the files, configurations, splits and columns of three data sets on the hub."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

QUESTIONS = 6
LETTERS = "ABCDEFGHIJ"


@pytest.fixture(scope="session")
def hub_copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders arc_c, gpqa_diamond, mmlu_pro as `hf download` leaves them, with a card that names configurations."""
    root = tmp_path_factory.mktemp("hub")
    _arc(root / "arc_c")
    _gpqa(root / "gpqa_diamond")
    _mmlu_pro(root / "mmlu_pro")
    return root


def right_option(number: int, options: int) -> int:
    """Place of the right option of a question."""
    return number % options


def _arc(folder: Path) -> None:
    rows = [_arc_row(number) for number in range(QUESTIONS)]
    _parquet(folder / "ARC-Challenge" / "test-00000-of-00001.parquet", rows)
    _parquet(folder / "ARC-Challenge" / "train-00000-of-00001.parquet", rows[:1])
    _parquet(folder / "ARC-Easy" / "test-00000-of-00001.parquet", rows[:1])
    _card(folder, {name: {"test": f"{name}/test-*"} for name in ("ARC-Challenge", "ARC-Easy")})


def _arc_row(number: int) -> dict[str, Any]:
    """Labels are letters, or numbers as in New York's examinations; one question has three options."""
    options = 3 if number == 2 else 4
    labels = list("1234" if number == 1 else "ABCD")[:options]
    texts = [f"{number + place} pebbles" for place in range(options)]
    return {
        "id": f"Made_{number}",
        "question": f"A box holds some pebbles (box {number}). How many may it be?",
        "choices": {"text": texts, "label": labels},
        "answerKey": labels[right_option(number, options)],
    }


def _gpqa(folder: Path) -> None:
    folder.mkdir(parents=True)
    rows = [
        {
            "Record ID": f"rec{number}",
            "Question": f"Which of these is number {number}?",
            "Correct Answer": f"number {number}",
            "Incorrect Answer 1": "a cloud",
            "Incorrect Answer 2": "a river",
            "Incorrect Answer 3": "a hill",
            "Explanation": "It says so.",
            "Subdomain": "Made up",
        }
        for number in range(QUESTIONS)
    ]
    for name in ("gpqa_diamond", "gpqa_main"):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    _card(folder, {name: {"train": f"{name}.csv"} for name in ("gpqa_diamond", "gpqa_main")})


def _mmlu_pro(folder: Path) -> None:
    rows = [_mmlu_pro_row(number) for number in range(QUESTIONS)]
    _parquet(folder / "data" / "test-00000-of-00001.parquet", rows)
    _parquet(folder / "data" / "validation-00000-of-00001.parquet", rows[:1])
    _card(folder, {"default": {"test": "data/test-*", "validation": "data/validation-*"}})


def _mmlu_pro_row(number: int) -> dict[str, Any]:
    options = 10 if number % 2 == 0 else 4
    right = 8 if number == 0 else right_option(number, options)
    return {
        "question_id": 70 + number,
        "question": f"Which quantity is meant in case {number}?",
        "options": [f"quantity {place}" for place in range(options)],
        "answer": LETTERS[right],
        "answer_index": right,
        "cot_content": "",
        "category": "other",
        "src": "made up",
    }


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def _card(folder: Path, configurations: dict[str, dict[str, str]]) -> None:
    """README.md whose head tells `datasets` which file is which configuration and split."""
    configs = [
        {
            "config_name": name,
            "data_files": [{"split": split, "path": path} for split, path in splits.items()],
        }
        for name, splits in configurations.items()
    ]
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n", encoding="utf-8")
