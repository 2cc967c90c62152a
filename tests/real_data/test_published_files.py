"""Real questions and worked solutions from outside, through the whole suite; skipped where they are not at hand."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.exits import CellsFailedError

Start = Callable[..., Any]
ROOT = Path(__file__).parents[2]

TURN = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
LUFFY = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", TURN),
        ("target", TURN),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("ground_truth", pa.string()), ("style", pa.string())])),
        ("extra_info", pa.struct([("index", pa.int64()), ("split", pa.string())])),
    ]
)
"""Columns of Elliott/Openr1-Math-46k-8192."""


def assert_went_through(done: Any) -> None:
    rows = done.rows("train")
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert all(math.isfinite(row["loss"]) and row["prefix_tokens"] >= 1 for row in rows)
    assert rows[0]["prefix_tokens"] > rows[2]["prefix_tokens"], "the cosine shortens prefixes"
    assert 0 <= done.rows("validation")[-1]["validation/accuracy"] <= 1
    assert done.scores()["questions"] == done.config.data.test_questions


@pytest.mark.slow
def test_gsm8k_on_the_command_line(shared_data: Path, tmp_path: Path) -> None:
    """Three rollout steps, the same command again does nothing, and `status` shows both runs."""
    file = shared_data / "train" / "gsm8k_train_2000.jsonl"
    command = [sys.executable, "-m", "experiments.run", "scale=trial", "data=jsonl", f"data.path={file}"]
    command += [
        "data.test_questions=4",
        "evaluation.samples=2",
        "evaluation.pass_at=[1]",
        f"store={tmp_path}",
    ]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    (metrics,) = tmp_path.glob("*/metrics.jsonl")
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [(row["step"], row["kind"]) for row in rows] == [
        (1, "train"),
        (2, "train"),
        (3, "train"),
        (3, "validation"),
    ]
    assert rows[0]["prefix_tokens"] > rows[2]["prefix_tokens"]
    before = metrics.stat().st_mtime_ns
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert metrics.stat().st_mtime_ns == before


@pytest.mark.slow
def test_math_with_a_bad_row(shared_data: Path, trial: Start) -> None:
    file = shared_data / "train" / "math_train_2000of7500.jsonl"
    with pytest.raises(CellsFailedError, match=r"row 1476, field 'answer': it is empty.*skip_bad_rows"):
        trial(f"data.path={file}", "data.limit=null")
    done = trial(f"data.path={file}", "data.limit=null", "data.skip_bad_rows=true")
    assert_went_through(done)
    log = (done.run.path / "run.log").read_text()
    assert f"{file}, row 1476, field 'answer': it is empty" in log
    assert "the demonstration has" in log


@pytest.mark.slow
def test_parquet_in_luffys_layout(shared_data: Path, trial: Start, tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist(luffy_rows(shared_data), schema=LUFFY), path)
    done = trial(
        "data=parquet", f"data.path={path}", "data.max_prompt_tokens=1024", "data.skip_bad_rows=true"
    )
    assert_went_through(done)


def luffy_rows(shared_data: Path) -> list[dict[str, Any]]:
    """Real questions and solutions under the columns and the system message of the paper's training set."""
    system = (shared_data / "schema" / "luffy_system_prompt.txt").read_text()
    lines = (shared_data / "train" / "math_train_2000of7500.jsonl").read_text().splitlines()[:256]
    return [_luffy_row(index, json.loads(line), system) for index, line in enumerate(lines)]


def _luffy_row(index: int, row: dict[str, Any], system: str) -> dict[str, Any]:
    return {
        "data_source": "",
        "prompt": [
            {"content": system, "role": "system"},
            {"content": row["problem"], "role": "user"},
        ],
        "target": [
            {"content": f"<think>\n{row['solution']}\n</think>\n\n{row['solution']}", "role": "assistant"}
        ],
        "ability": "math",
        "reward_model": {"ground_truth": row["answer"], "style": "rule"},
        "extra_info": {"index": index, "split": "default"},
    }


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "rft", "sft_rft"])
def test_gsm8k_by_the_other_methods(shared_data: Path, trial: Start, method: str) -> None:
    file = shared_data / "train" / "gsm8k_train_2000.jsonl"
    done = trial(f"data.path={file}", f"method={method}")
    losses = [row["loss"] for row in done.rows("train")]
    assert len(losses) == (8 if method == "sft" else 3), "512 rows less 24 held out are 8 batches of 64"
    assert all(map(math.isfinite, losses))
    if method == "sft":
        assert losses[-1] < losses[0]


@pytest.mark.slow
def test_gsm8k_through_transformers_own_model(shared_data: Path, trial: Start) -> None:
    file = shared_data / "train" / "gsm8k_train_2000.jsonl"
    short = ("data.max_response_tokens=256", "data.skip_bad_rows=true", "data.test_questions=4")
    assert_went_through(trial(f"data.path={file}", "backend.fast_path=off", *short))
