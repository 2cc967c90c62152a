"""`prefix-rft compare`: two small evaluations whose difference can be counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from eval.protocol import ProtocolRecord
from eval.results import Claim, claim, score, write_scores
from eval.samples import SAMPLES, VERDICTS, Sample, Verdict, write_rows
from experiments.cli import app
from experiments.commands.compare import COLUMNS


def evaluation(folder: Path, benchmark: str, correct: list[int], **changes: Any) -> None:
    """A finished evaluation of one sample a question."""
    fields: dict[str, Any] = {
        "name": "luffy", "split": benchmark, "questions": len(correct), "content": f"c0ffee{benchmark}", "samples": 1,
        "temperature": 0.6, "top_p": 1.0, "max_tokens": 16, "seed": 0, "template": "tokenizer", "grader": "exact",
        "extraction": ("last_boxed",), "verdict_seconds": 5.0, "sampler": "local", "sampler_version": "test",
    }  # fmt: skip
    record = ProtocolRecord(**fields | changes)
    claim(folder, Claim(subject=str(folder), protocol=record))
    rows = [(f"q{i}", bool(right)) for i, right in enumerate(correct)]
    write_rows(folder / "samples.parquet", SAMPLES, [Sample(name, 0, "so", 3, True, 7) for name, _ in rows])
    write_rows(
        folder / "verdicts.parquet", VERDICTS, [Verdict(name, 0, right, "ok", "1") for name, right in rows]
    )
    write_scores(folder, score(folder, record, str(folder), (1,)))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for benchmark in ("math500", "minerva"):
        evaluation(tmp_path / "a" / benchmark, benchmark, [1, 1, 1, 0])
        evaluation(tmp_path / "b" / benchmark, benchmark, [1, 0, 0, 0])
    return tmp_path


def run(models: Path, *words: str) -> Result:
    usual = {"first": str(models / "a"), "second": str(models / "b")}
    given = usual | dict(word.split("=", 1) for word in words)
    return CliRunner().invoke(app, ["compare", *(f"{key}={value}" for key, value in given.items())])


def test_differences_are_shown_and_written(models: Path) -> None:
    done = run(models, f"out={models / 'out/found.parquet'}", "names=new,old")
    assert done.exit_code == 0, done.output
    assert "new minus old" in " ".join(done.output.split())
    table = pq.read_table(models / "out/found.parquet")
    assert table.column_names == list(COLUMNS)
    rows = table.to_pylist()
    assert [row["benchmark"] for row in rows] == ["math500", "minerva", "Avg"]
    assert [row["difference"] for row in rows] == [0.5, 0.5, 0.5]
    assert [(row["better"], row["worse"], row["alike"]) for row in rows[:2]] == [(2, 0, 2)] * 2
    assert [row["p_signs"] for row in rows] == [0.5, 0.5, None]
    assert all(row["p_holm"] >= row["p"] for row in rows)


def test_seeds_are_a_second_level(models: Path) -> None:
    pair = {
        side: f"{side}={models / name},{models / name}" for side, name in (("first", "a"), ("second", "b"))
    }
    assert run(models, *pair.values(), f"out={models / 'found.parquet'}").exit_code == 0
    assert {row["seeds"] for row in pq.read_table(models / "found.parquet").to_pylist()} == {2}
    refused = run(models, pair["first"])
    assert refused.exit_code == 2
    assert "seeds are paired" in " ".join(refused.output.split())


def test_what_cannot_be_compared_is_refused_by_name(models: Path) -> None:
    evaluation(models / "c/math500", "math500", [1, 0, 0, 0], temperature=1.0)
    refused = run(models, f"second={models / 'c'}")
    assert refused.exit_code == 2
    assert "temperature: 0.6 and 1.0" in refused.output
    evaluation(models / "b/math500-again", "math500", [1, 0, 0, 0], seed=1)
    refused = run(models)
    assert refused.exit_code == 2
    assert "several evaluations on math500" in refused.output
    assert "no finished evaluation on amc23" in " ".join(run(models, "benchmarks=amc23").output.split())
