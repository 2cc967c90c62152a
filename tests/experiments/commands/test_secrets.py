"""Keys stay in the environment: planted ones are looked for in every file and every word that commands leave."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eval.samplers.settings import EndpointSampling
from experiments.cli import app
from prefix_rft.errors import SettingsError
from prefix_rft.settings import parse

KEY = "planted-0123456789abcdef-key"
VARIABLES = ("WANDB_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "MY_SERVER_KEY")
SERVER = Path(__file__).parents[2] / "eval" / "misbehaving.py"
SMALL = [
    *("model.single_steps=0", "model.skill_steps=0", "model.polish_steps=1", "model.habit_steps=1"),
    *("model.architecture.hidden_size=16", "model.architecture.layers=1"),
    *("data.train_questions=64", "data.validation_questions=4", "data.test_questions=6"),
    *("optimisation.rl.steps=1", "optimisation.rl.questions_per_step=4", "optimisation.sft.epochs=1"),
    *("evaluation.samples=2", "evaluation.pass_at=[1]", "method=rft", "tracking=offline"),
]


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable that may hold a key holds one."""
    for name in VARIABLES:
        monkeypatch.setenv(name, KEY)


@pytest.fixture
def server() -> Iterator[Any]:
    """Takes requests with the key alone, and repeats a wrong one."""
    spec = importlib.util.spec_from_file_location("misbehaving", SERVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["misbehaving"] = module
    spec.loader.exec_module(module)
    with module.serving(module.Misbehaving(key=KEY)) as running:
        yield running


def holding(folder: Path) -> tuple[int, list[Path]]:
    """How many files there are, and which of them hold the key."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return len(files), [path for path in files if KEY.encode() in path.read_bytes()]


def command(folder: Path, *words: str) -> str:
    """All that a command says, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_search_would_find_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"x{KEY}x")
    assert holding(tmp_path) == (1, [tmp_path / "a"])


@pytest.mark.slow
def test_no_run_writes_a_key_down(tmp_path: Path) -> None:
    said = command(tmp_path, "-m", "experiments.run", *SMALL)
    files, found = holding(tmp_path)
    assert files > 30
    assert any("wandb" in str(path) for path in tmp_path.rglob("*.wandb"))
    assert found == []
    assert KEY not in said


def test_no_batch_script_holds_a_key(tmp_path: Path) -> None:
    words = ["plan", "main_results", "seed=0", "store=runs", "hydra/launcher=slurm", "cluster=example"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "#SBATCH" in done.output
    assert KEY not in done.output


def test_no_evaluation_of_an_endpoint_writes_the_key_down(
    server: Any, tmp_path: Path, tiny_model: Path, benchmark_files: Callable[..., Path]
) -> None:
    folder = benchmark_files(aime24=["1", "2"])
    settings = [
        *(
            f"model={tiny_model}",
            "benchmarks=aime24",
            f"benchmarks_folder={folder}",
            "samples=2",
            "max_tokens=4",
        ),
        *(
            "protocol=plain",
            "allow_changed_data=true",
            "grading_workers=1",
            "sampler=endpoint",
            "sampler.model=tiny",
        ),
        *(f"sampler.base_url={server.url}", "sampler.api_key_env=MY_SERVER_KEY", f"out={tmp_path / 'out'}"),
    ]
    done = CliRunner().invoke(app, ["eval", *settings])
    assert done.exit_code == 0, done.output
    assert {heard.headers.get("authorization") for heard in server.heard} == {f"Bearer {KEY}"}
    files, found = holding(tmp_path / "out")
    assert files >= 4
    assert found == []
    assert KEY not in done.output


def test_an_address_may_hold_no_password() -> None:
    with pytest.raises(SettingsError, match=r"base_url.*api_key_env") as refused:
        parse(EndpointSampling, {"base_url": f"https://me:{KEY}@example.org/v1"})
    assert KEY not in str(refused.value)
