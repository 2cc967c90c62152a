"""Contamination of real training sets: MATH's rows hold problems of MATH-500 in other words, GSM8K's nothing."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from experiments.cli import app

OFFLINE = {"COLUMNS": "200"}


def searched(
    shared_data: Path, file: str, out: Path, *options: str
) -> dict[tuple[str, str], dict[str, object]]:
    """The command's JSON, by benchmark and side."""
    arguments = ["contamination", "data=jsonl", f"data.path={shared_data / 'train' / file}", *options]
    arguments += ["data.skip_bad_rows=true", "data.validation_questions=0", "data.test_questions=0"]
    arguments += ["--folder", str(shared_data / "eval"), "--json", str(out)]
    done = CliRunner().invoke(app, arguments, env=OFFLINE)
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    return {(item["benchmark"], item["side"]): item for item in report["overlaps"]}


def test_a_benchmark_is_found_in_itself(shared_data: Path, tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    train.write_bytes((shared_data / "eval" / "amc_83.jsonl").read_bytes())
    overlaps = searched(
        shared_data,
        str(train),
        tmp_path / "found.json",
        "data.columns.demonstration=null",
        "--benchmarks=amc,amc23",
    )
    for name, problems in (("amc", 83), ("amc23", 40)):
        found = overlaps[name, "question"]
        assert (found["found"], found["whole"]) == (problems, problems)
        assert overlaps[name, "demonstration"]["found"] == 0


def test_math_training_rows_hold_no_problem_of_math500(shared_data: Path, tmp_path: Path) -> None:
    overlaps = searched(shared_data, "math_train_2000of7500.jsonl", tmp_path / "found.json")
    questions, solutions = overlaps["math500", "question"], overlaps["math500", "demonstration"]
    assert (questions["found"], questions["half"], questions["whole"]) == (28, 13, 0)
    assert (solutions["found"], solutions["half"], solutions["whole"]) == (6, 0, 0)
    nearest = questions["hits"][0]  # type: ignore[index]
    assert (nearest["problem"], nearest["training"]) == ("test/geometry/283.json", "train/algebra/2835")
    assert "passage" not in nearest


def test_gsm8k_shares_nothing(shared_data: Path, tmp_path: Path) -> None:
    overlaps = searched(shared_data, "gsm8k_train_2000.jsonl", tmp_path / "found.json")
    assert {item["found"] for item in overlaps.values()} == {0}


def test_an_olympiad_problem_stands_in_maths_test_rows(shared_data: Path, tmp_path: Path) -> None:
    overlaps = searched(
        shared_data, "math_test_2000of4500_prm_train.jsonl", tmp_path / "found.json", "--show"
    )
    hit = overlaps["olympiad", "question"]["hits"][0]  # type: ignore[index]
    assert (hit["problem"], hit["training"]) == ("olympiad-2713", "test/precalculus/216")
    assert (hit["share"], len(hit["passage"].split())) == (1.0, 19)
