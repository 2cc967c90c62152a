"""What answers at once imports nothing heavy: help, status, tables, settings, composition, the launcher."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "tokenizers", "datasets", "ray", "wandb", "math_verify", "matplotlib")
FRAMES = ("pandas", "pyarrow", "scipy")

IMPORTS = {
    "settings": "import prefix_rft.settings",
    "runs": "import prefix_rft.runs.store, prefix_rft.runs.tracking, prefix_rft.runs.identity",
    "cli": "import experiments.cli",
    "launcher": "import experiments.execute, experiments.worker, experiments.progress",
    "composition": (
        "from experiments.compose import compose; compose(['scale=paper', 'method=rft', 'seed=1'])"
    ),
    "selection": "from experiments.selection import select; select('main_results', ['seed=0'])",
    "help": "cli('--help')",
    "help of a command": "cli('table', '--help')",
    "status": "cli('status', '--store', 'nowhere')",
    "submission": "import experiments.cluster.launch, experiments.cluster.follow, slurm.task, slurm.doctor",
    "batch scripts": (
        "cli('plan', 'main_results', 'seed=0', 'store=nowhere', 'hydra/launcher=slurm', 'cluster=sandbox')"
    ),
}
PREPARE = """
import sys
def cli(*arguments):
    from typer.testing import CliRunner
    from experiments.cli import app
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
"""


def imported(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of these modules a fresh interpreter has loaded after running some code."""
    report = f"\nimport json\nprint(json.dumps([name for name in {names!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", PREPARE + code + report], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", IMPORTS)
def test_nothing_heavy_is_imported(name):
    assert imported(IMPORTS[name], HEAVY + FRAMES) == []


def test_a_table_needs_frames_and_nothing_heavier():
    assert imported("cli('table', 'seed=0', 'store=nowhere')", HEAVY) == []


def test_the_check_would_notice():
    assert imported("import wandb", HEAVY) == ["wandb"]
