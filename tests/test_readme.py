"""Every command of the README runs; training ones with settings added that make them small."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.benchmarks.registry import BENCHMARKS, GROUPS
from prefix_rft.data.scratch import train_scratch_tokenizer
from prefix_rft.local.initial import write_random_model
from prefix_rft.settings import Architecture

ROOT = Path(__file__).parents[1]
SMALL = [
    *("model.single_steps=0", "model.skill_steps=0", "model.polish_steps=1", "model.habit_steps=1"),
    *("model.architecture.hidden_size=16", "model.architecture.layers=1"),
    *("data.train_questions=64", "data.validation_questions=4", "data.test_questions=6"),
    *("optimisation.rl.steps=1", "optimisation.rl.questions_per_step=4", "optimisation.sft.epochs=1"),
    *("evaluation.samples=2", "evaluation.pass_at=[1]", "tracking=disabled"),
]
TARGETS = {"demo": "prefix-rft demo", "test": "pytest"}


def commands() -> Iterator[str]:
    """Lines of the README's bash blocks, without comments."""
    for block in re.findall(
        r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    ):
        yield from (line.split("  #")[0].strip() for line in block.splitlines() if line.strip())


MAKE = [command for command in commands() if command.startswith("make ")]
OTHERS = [command for command in commands() if not command.startswith("make ")]


@pytest.mark.parametrize("command", MAKE)
def test_make_targets_do_what_the_readme_says(command: str) -> None:
    target = command.split()[1]
    shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
    assert TARGETS[target] in shown.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run one after the other, with the files that they name."""
    place = tmp_path_factory.mktemp("readme")
    rows = [
        {
            "id": f"q{i}",
            "problem": f"A box holds {i} pens and {i + 1} pencils. How many things are in it?",
            "answer": str(2 * i + 1),
            "solution": f"There are {i} + {i + 1} = {2 * i + 1} things.\n#### {2 * i + 1}",
        }
        for i in range(1, 61)
    ]
    _write(place / "questions.jsonl", rows)
    _write(
        place / "responses.jsonl",
        [
            {"id": "1", "gold": "1/2", "response": "so it is \\boxed{0.5}", "correct": True},
            {"id": "2", "gold": "3", "response": "so it is \\boxed{4}", "correct": False},
        ],
    )
    train_scratch_tokenizer(["How many things are in the box?"], 300, place / "models" / "mine")
    shape = Architecture(hidden_size=16, layers=1, heads=2, key_value_heads=2, max_positions=2048)
    write_random_model(place / "models" / "mine", shape, vocabulary=310, eos_id=1, pad_id=0, seed=1)
    for name in GROUPS["paper"]:
        problems = [{"id": "p0", "problem": f"What is {name}?", "answer": "7"}]
        _write(place / "benchmarks" / BENCHMARKS[name].file, problems)
    return place


@pytest.mark.parametrize("command", OTHERS)
def test_commands_of_the_readme_run(command: str, folder: Path) -> None:
    words = shlex.split(command)
    if words[:3] == ["python", "-m", "experiments.run"]:
        words += ["optimisation.rl.steps=1"] if "scale=trial" in words else SMALL
    if words[0] == "prefix-rft" and words[1] in ("table", "report", "reproduce", "dashboards"):
        words += [word for word in SMALL if words[1] != "dashboards" or word != "tracking=disabled"]
    if words[:2] == ["prefix-rft", "eval"]:
        words += ["samples=1", "max_tokens=4", "allow_changed_data=true"]
    if words[:2] == ["prefix-rft", "contamination"]:
        words += ["data.validation_questions=4", "data.test_questions=4", "--allow-changed"]
    done = subprocess.run(
        [*_program(words[0]), *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PREFIX_RFT_BENCHMARKS": str(folder / "benchmarks")},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_the_commands_left_what_they_promise(folder: Path) -> None:
    if not (folder / "report").exists():
        pytest.skip("the commands of the README did not run in this process")
    names = {file.name for file in (folder / "report").iterdir()}
    assert {"report.md", "table.md", "table.csv", "table.tex"} <= names


def test_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    assert targets
    assert [link for link in targets if not (ROOT / link).exists()] == []


def _program(name: str) -> list[str]:
    """The program of the environment that the tests run in."""
    if name == "python":
        return [sys.executable]
    return [str(Path(sys.executable).parent / name)]


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
