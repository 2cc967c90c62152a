"""`prefix-rft eval` on a tiny random model: everything but the model's wits is real."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from eval.results import read_scores
from experiments.cli import app

Files = Callable[..., Path]


def evaluate(*settings: str) -> Result:
    return CliRunner().invoke(app, ["eval", *settings])


@pytest.fixture
def ask(tmp_path: Path, tiny_model: Path, benchmark_files: Files) -> Callable[..., Result]:
    """Asks the tiny model on two changed benchmarks, shortly."""
    folder = benchmark_files(aime24=["1", "2", "3"], minerva=["3e8", "5"])

    def asked(*settings: str) -> Result:
        usual = {
            "model": str(tiny_model), "benchmarks": "aime24,minerva", "benchmarks_folder": str(folder), "samples": "2",
            "max_tokens": "4", "protocol": "plain", "out": str(tmp_path / "out"), "allow_changed_data": "true",
            "grading_workers": "1",
        }  # fmt: skip
        given = dict(setting.split("=", 1) for setting in settings)
        return evaluate(*(f"{key}={value}" for key, value in (usual | given).items()))

    return asked


def folders(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.rglob("scores.json"))


def written(root: Path) -> dict[Path, int]:
    """When each file of samples and verdicts was written."""
    found = {
        path: path.stat().st_mtime_ns for path in root.rglob("*.parquet") if path.name != "scores.parquet"
    }
    assert len(found) == 6
    return found


def test_every_number_has_its_protocol(ask: Callable[..., Result], tmp_path: Path) -> None:
    done = ask()
    assert done.exit_code == 0, done.output
    for said in ("aime24", "minerva, scientific", "of 2", "protocol plain", "CHANGED DATA", "scores.parquet"):
        assert said in done.output
    found = folders(tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").parts[:2] for path in found] == [
        ("tiny", "aime24"),
        ("tiny", "minerva"),
        ("tiny", "minerva"),
    ]
    scores = read_scores(found[0])
    assert (scores.questions, scores.samples, scores.protocol.max_tokens) == (3, 2, 4)
    assert scores.protocol.data_changes
    assert list(scores.metrics) == ["avg@2", "pass@1", "pass@2"]


def test_asked_again_it_makes_nothing_and_says_the_same(ask: Callable[..., Result], tmp_path: Path) -> None:
    first = ask()
    stamps = written(tmp_path / "out")
    again = ask()
    assert again.output == first.output
    assert written(tmp_path / "out") == stamps


def test_a_changed_protocol_starts_new_files(ask: Callable[..., Result], tmp_path: Path) -> None:
    ask("benchmarks=aime24")
    ask("benchmarks=aime24", "max_tokens=5")
    ask("benchmarks=aime24", "seed=1")
    assert len(folders(tmp_path / "out")) == 3


def test_changed_data_are_refused_with_the_differences(ask: Callable[..., Result], tmp_path: Path) -> None:
    refused = ask("allow_changed_data=false")
    assert refused.exit_code == 2
    assert "is not AIME24 as this project knows it" in refused.output
    assert "allow_changed_data=true" in refused.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("benchmarks=aime", "unknown benchmark 'aime'"),
        ("protocol=lufy", "Did you mean 'luffy'?"),
        ("sampler=vlm", "Did you mean 'vllm'?"),
        ("sampler.batches=3", "batches"),
        ("max_tokens=100000", "4096"),
        ("model=/nowhere", "/nowhere"),
        ("model=run:0123", "0123"),
        ("revision=main", "is a folder, for which revision=main says nothing"),
        ("samples=0", "samples"),
        ("modell=x", "modell"),
    ],
)
def test_what_is_wrong_is_named(ask: Callable[..., Result], setting: str, said: str) -> None:
    refused = ask(setting)
    assert refused.exit_code == 2, refused.output
    assert said in refused.output


def test_a_model_without_a_chat_template_is_told_of_plain(
    ask: Callable[..., Result], tiny_model: Path, tmp_path: Path
) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare)
    file = bare / "tokenizer_config.json"
    config: dict[str, Any] = json.loads(file.read_text())
    config.pop("chat_template", None)
    file.write_text(json.dumps(config))
    for template in bare.glob("chat_template*"):
        template.unlink()
    refused = ask(f"model={bare}", "protocol=prefix_rft")
    assert refused.exit_code == 2
    assert "protocol=plain needs none" in refused.output
