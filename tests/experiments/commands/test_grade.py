from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from experiments.commands.grade import grade
from prefix_rft.errors import DataError, SettingsError

ROWS = [
    {"id": "boxed", "gold": "\\frac12", "response": "so \\boxed{0.5}", "correct": True},
    {"id": "marker", "gold": "72", "response": "and so\n#### 72", "correct": True},
    {"id": "plain", "gold": "3", "response": "A: 4", "correct": False},
    {"id": "bare", "gold": "$1/3$", "response": "$\\dfrac{1}{3}$", "correct": True},
    {"id": "mislabelled", "gold": "10000", "response": "\\boxed{10000}", "correct": False},
    {"id": "evil\x1b[31m", "gold": "5", "response": "\\boxed{6\ud800 [red]}", "correct": True},
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_agreement_kinds_and_disagreements_are_printed_plainly(tmp_path: Path) -> None:
    out = io.StringIO()
    path = write(tmp_path / "rows.jsonl", ROWS)
    assert grade([path, write(tmp_path / "more.jsonl", ROWS[:1])], console=Console(file=out, width=160)) == 0
    text = out.getvalue()
    lines = [line.split() for line in text.splitlines()]
    assert next(line for line in lines if line[:1] == ["rows.jsonl"])[1:8] == [
        "6",
        "0.6667",
        "1",
        "1",
        "0",
        "0",
        "0",
    ]
    assert next(line for line in lines if line[:1] == ["all"])[1:3] == ["7", "0.7143"]
    assert "label looks wrong" in text
    assert "6\\ud800 [red]" in text
    assert "evil\\x1b[31m" in text
    assert "\x1b" not in text


def test_everything_is_written_as_json(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    path = write(tmp_path / "rows.jsonl", ROWS)
    grade([path], json_path=target, show=0, console=Console(file=io.StringIO()))
    report = json.loads(target.read_text())
    assert report["total"]["rows"] == 6
    assert report["files"][str(path)]["agreement"] == pytest.approx(4 / 6)
    assert [item["id"] for item in report["disagreements"]] == ["mislabelled", "evil\x1b[31m"]
    assert report["disagreements"][0]["kind"] == "label looks wrong"


def test_responses_without_an_answer_come_with_advice(tmp_path: Path) -> None:
    out = io.StringIO()
    path = write(tmp_path / "rows.jsonl", ROWS[1:2])
    grade([path], extract=["last_boxed"], verifier="exact", console=Console(file=out, width=160))
    assert "rows.jsonl: 1" in out.getvalue()
    assert "last_number" in out.getvalue()


def test_bad_input_is_refused_before_anything_is_graded(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.jsonl", ROWS), write(tmp_path / "bad.jsonl", [{"gold": "1"}])
    out = io.StringIO()
    with pytest.raises(DataError, match=r"bad.jsonl, row 1: field 'response' is missing"):
        grade([good, bad], console=Console(file=out))
    with pytest.raises(SettingsError, match="extract"):
        grade([good], extract=["last_box"], console=Console(file=out))
    assert out.getvalue() == ""


def test_agreement_on_labelled_answers_from_outside(shared_data: Path, tmp_path: Path) -> None:
    """GSM8K solutions of eight models; MATH solutions labelled by people and by two other graders."""
    target = tmp_path / "report.json"
    gsm8k = ["gsm8k_abel", "gsm8k_openai_solutions"]
    math = ["math_mrmath_human", "math_nemo_skills", "math_qwen25math"]
    files = [shared_data / "grader" / f"{name}.jsonl" for name in gsm8k + math]
    grade(files, json_path=target, console=Console(file=io.StringIO()))
    report = json.loads(target.read_text())

    def agreement(names: list[str]) -> float:
        figures = [report["files"][str(shared_data / "grader" / f"{name}.jsonl")] for name in names]
        return float(sum(f["rows"] * f["agreement"] for f in figures) / sum(f["rows"] for f in figures))

    assert agreement(gsm8k) == 1.0
    assert agreement(math) >= 0.99
    assert report["total"]["timeouts"] == 0
