"""`prefix-rft contamination`: what it prints and writes, and that benchmark text is shown only when asked for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from experiments.cli import app

WORDS = "every morning a made up heron walks along the quiet river and counts eleven silver fish"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """GPQA's number of made-up problems under its file's name; its content has no known hash."""
    rows = [
        {"id": f"q{index}", "problem": f"Nothing of this kind {index}", "answer": "A"} for index in range(197)
    ]
    rows.append({"id": "heron", "problem": f"{WORDS.capitalize()}. How many?\nA. 11\nB. 12", "answer": "A"})
    (tmp_path / "gpqa_diamond.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def train(tmp_path: Path) -> Path:
    rows = [
        {"id": "t1", "problem": f"Note that {WORDS}!", "answer": "11", "solution": "It says eleven."},
        {"id": "t2", "problem": "What else?", "answer": "1", "solution": f"As {WORDS}, so it is."},
        {"id": "t3", "problem": "Is there more?", "answer": "1", "solution": f"{WORDS} again"},
    ]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(train: Path, folder: Path, *options: str) -> Result:
    settings = ["data=jsonl", f"data.path={train}", "data.validation_questions=0", "data.test_questions=0"]
    words = ["contamination", *settings, "--folder", str(folder), "--benchmarks", "gpqa_diamond", *options]
    return CliRunner().invoke(app, words)


def test_it_reports_ids_and_lengths_and_no_text(train: Path, folder: Path) -> None:
    done = run(train, folder)
    assert done.exit_code == 0, done.output
    assert "3 training questions with 3 demonstrations, searched for runs of 13 words" in done.output
    rows = [line.split() for line in done.output.splitlines() if line.strip().startswith("GPQA-diamond ")]
    assert rows == [
        ["GPQA-diamond", "questions", "198", "197", "1", "1", "0", "16"],
        ["GPQA-diamond", "demonstrations", "198", "197", "1", "1", "0", "16"],
    ]
    assert "heron: 73% of its 22 words, 16 in a row, in the question of t1" in done.output
    assert "in the demonstration of t2 (and 1 more)" in done.output
    assert "silver fish" not in done.output


def test_shared_words_are_shown_when_asked_for(train: Path, folder: Path) -> None:
    assert f"    {WORDS}" in run(train, folder, "--show").output


def test_shorter_runs_and_no_list(train: Path, folder: Path) -> None:
    done = run(train, folder, "--words", "17", "--list", "0")
    assert "in a row" not in done.output
    assert done.output.count(" 0      0 ") >= 2


def test_json_and_csv_say_the_same(train: Path, folder: Path, tmp_path: Path) -> None:
    as_json, as_csv = tmp_path / "found.json", tmp_path / "found.csv"
    assert run(train, folder, "--json", str(as_json), "--csv", str(as_csv)).exit_code == 0
    report = json.loads(as_json.read_text())
    assert (report["run"], report["training"]["questions"]) == (13, 3)
    assert report["benchmarks"]["gpqa_diamond"]["checked"] is False
    hits = [
        (item["side"], hit["training"], hit["longest"]) for item in report["overlaps"] for hit in item["hits"]
    ]
    assert hits == [("question", "t1", 16), ("demonstration", "t2", 16)]
    with as_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["side"], row["training"], int(row["longest"])) for row in rows] == hits
    assert "silver" not in as_json.read_text() + as_csv.read_text()


def test_what_cannot_be_used_is_refused(train: Path, folder: Path) -> None:
    assert "unknown benchmark 'amd'" in run(train, folder, "--benchmarks", "amd").output
    missing = run(train, folder, "--benchmarks", "amc")
    assert missing.exit_code != 0
    assert "has no amc_83.jsonl" in missing.output
    assert run(Path("nowhere.jsonl"), folder).exit_code != 0
