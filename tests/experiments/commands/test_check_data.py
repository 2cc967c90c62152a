"""prefix-rft check-data."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from experiments.commands.check_data import check_data
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.settings import ChainData, GradingSettings, JsonlData


def test_clean_data_exits_with_zero() -> None:
    out = io.StringIO()
    small = ChainData(train_questions=8, validation_questions=4, test_questions=4)
    assert check_data(small, ChainEncoder(4), Console(file=out, width=120)) == 0
    assert "train" in out.getvalue()
    assert "Lengths were not measured" not in out.getvalue()


def test_bad_rows_are_listed_and_exit_with_one(tmp_path: Path) -> None:
    rows = [{"id": f"q{i}", "problem": f"{i}?", "answer": str(i % 5), "solution": f"#{i}"} for i in range(30)]
    rows[6]["solution"] = ""
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    grading = GradingSettings(extract=("after_marker",), marker="#", verifier="exact")
    settings = JsonlData(path=str(file), validation_questions=0, test_questions=0, grading=grading)
    out = io.StringIO()
    assert check_data(settings, console=Console(file=out, width=120)) == 1
    text = out.getvalue()
    assert "rows left out: 1" in text
    assert f"{file}, row 7, field 'solution': it is empty" in text
    assert "5 (17.2%)" in text, "of 29 demonstrations those of 0 to 4 are right"
    assert "Lengths were not measured" in text
