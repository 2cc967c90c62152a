"""CONTRIBUTING's walk-through, step by step in a copy of the repository: the method it adds runs and conforms."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prefix_rft.runs.store import Store

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WALK = TEXT[TEXT.index("## Adding a method") : TEXT.index("## Adding a sweep")]
COPIED = (
    *("prefix_rft", "experiments", "eval", "analysis", "hydra_plugins", "sweeps", "slurm", "tests"),
    "pyproject.toml",
)
STEP = re.compile(r"`([^`]+)`, (new|after|before)(?: `([^`]+)`)?:\n\n```\w+\n(.*?)```", re.DOTALL)
SMALL = [
    *("optimisation.rl.steps=2", "optimisation.rl.questions_per_step=4", "optimisation.rl.validate_every=0"),
    *("model.single_steps=0", "model.skill_steps=0", "model.polish_steps=0", "model.habit_steps=2"),
    *("model.architecture.hidden_size=16", "model.architecture.intermediate_size=32"),
    *("data.train_questions=32", "data.validation_questions=4", "data.test_questions=4"),
    *("evaluation.samples=1", "evaluation.pass_at=[1]", "tracking=disabled"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the new method in it, and nothing else changed."""
    folder = tmp_path_factory.mktemp("contributor")
    ignore = shutil.ignore_patterns("__pycache__", ".*")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignore)
        elif source.exists():
            shutil.copy(source, folder / name)
    for path, place, anchor, block in STEP.findall(WALK):
        _apply(folder / path, place, anchor, block)
    return folder


def _apply(file: Path, place: str, anchor: str, block: str) -> None:
    """Make a new file, or put the block after (before) the one line that contains the anchor."""
    if place == "new":
        assert not file.exists()
        file.write_text(block, encoding="utf-8")
        return
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    (at,) = [i for i, line in enumerate(lines) if anchor in line]
    lines.insert(at + (place == "after"), block)
    file.write_text("".join(lines), encoding="utf-8")


def _run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _commands() -> dict[str, list[str]]:
    (block,) = re.findall(r"```bash\n(.*?)```", WALK, re.DOTALL)
    return {(words := shlex.split(line))[2]: words[3:] for line in block.splitlines()}


def test_the_walk_is_one_file_one_line_and_its_settings() -> None:
    """What stands in the text is what the tests below apply."""
    assert [(path, place) for path, place, _, _ in STEP.findall(WALK)] == [
        ("prefix_rft/methods/mine.py", "new"),
        ("prefix_rft/methods/__init__.py", "after"),
        ("prefix_rft/methods/__init__.py", "after"),
        ("prefix_rft/settings/method.py", "before"),
        ("prefix_rft/settings/method.py", "after"),
        ("experiments/conf/method/mine.yaml", "new"),
    ]
    assert len(STEP.findall(WALK)) == WALK.count("```python") + WALK.count("```yaml")


@pytest.mark.slow
def test_the_new_method_trains(copy: Path) -> None:
    _run(copy, "experiments.run", *_commands()["experiments.run"], *SMALL)
    (run,) = [run for run in Store(copy / "runs").runs() if run.kind == "train"]
    assert "mine" in (run.path / "config.yaml").read_text(encoding="utf-8")
    rows = [row for row in run.metrics() if row["kind"] == "train"]
    assert [row["step"] for row in rows] == [1, 2]
    assert all(row["imitated_tokens"] > 0 for row in rows)


def test_the_new_method_conforms(copy: Path) -> None:
    said = _run(copy, "pytest", *_commands()["pytest"], "-q", "--no-header", "-rA")
    passed = set(re.findall(r"PASSED \S+::(test_\w+)", said))
    assert passed >= {
        "test_only_tokens_that_the_method_names_have_a_gradient",
        "test_no_split_changes_gradients_or_metrics",
        "test_rows_without_a_weight_can_be_skipped",
        "test_imitated_and_explored_parts_are_what_two_backward_passes_give",
        "test_every_method_ends_alike_after_a_stop_half_way",
    }


def test_the_new_lines_are_as_tidy_as_the_others(copy: Path) -> None:
    changed = sorted({path for path, *_ in STEP.findall(WALK) if path.endswith(".py")})
    _run(copy, "ruff", "check", *changed)
    _run(copy, "ruff", "format", "--check", *changed)


@pytest.mark.slow
def test_the_new_lines_are_typed(copy: Path) -> None:
    _run(copy, "mypy", "--cache-dir", str(copy / ".mypy_cache"))
