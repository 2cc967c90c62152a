"""The suite as somebody else gets it: built, installed in a new environment, used outside the repository.

Minutes: the environment takes every dependency from the registry, at the versions of the lock. And a copy of the
repository that has neither `.git` nor the real data of `../shared`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = ("prefix_rft", "experiments", "eval", "analysis", "slurm", "sweeps", "hydra_plugins")
NOT_THE_PROJECTS = {".git", "wandb", "prof", "runs", "report", "build", "dist", "node_modules"}
SMALL = [
    *("model.single_steps=0", "model.skill_steps=0", "model.polish_steps=1", "model.habit_steps=1"),
    *("model.architecture.hidden_size=16", "model.architecture.layers=1"),
    *("data.train_questions=64", "data.validation_questions=4", "data.test_questions=6"),
    *("optimisation.rl.steps=1", "optimisation.rl.questions_per_step=4", "optimisation.sft.epochs=1"),
    *("evaluation.samples=2", "evaluation.pass_at=[1]", "tracking=disabled"),
]
WITHOUT_GIT_OR_DATA = [
    "tests/prefix_rft/runs/test_provenance.py",
    "tests/slurm/test_snapshot.py",
    "tests/prefix_rft/data/test_jsonl.py",
    "tests/prefix_rft/grading/test_extract.py",
    "tests/real_data",
]
NEITHER_SLOW_NOR_SPECIAL = (
    "not slow and not verl and not vllm and not slurm and not browser and not lighteval and not gpu"
)
REPORTED = (
    "import importlib, json; print(json.dumps({n: importlib.import_module(n).__path__[0] for n in %r}))"
)
LISTED = (
    "from importlib.metadata import files; [print(file, file.hash) for file in sorted(files('prefix-rft'))]"
)
PLUGINS = (
    "from hydra.core.plugins import Plugins; from hydra.plugins.plugin import Plugin;"
    "print(*sorted(kind.__name__ for kind in Plugins.instance().discover(Plugin)))"
)


@dataclass(frozen=True)
class Installed:
    """A virtual environment that holds the suite, and a folder to use it from."""

    bin: Path
    outside: Path

    def run(self, program: str, *words: str, seconds: float = 600) -> str:
        """What a program of the environment prints, run outside the repository; it has to end well."""
        named = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            [str(self.bin / program), *words],
            cwd=self.outside,
            env={**named, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "160"},
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, (
            f"{program} {' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
        return done.stdout

    def pip(self, *words: str) -> str:
        return self.run("python", "-m", "pip", "--disable-pip-version-check", *words, seconds=3_000)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository without `.git`, in a folder beside which nothing is shared."""
    target = tmp_path_factory.mktemp("alone") / "repository"
    shutil.copytree(ROOT, target, ignore=_not_the_projects)
    return target


def _not_the_projects(folder: str, names: list[str]) -> set[str]:
    caches = {name for name in names if name in ("__pycache__",) or name.endswith((".egg-info", ".pyc"))}
    if Path(folder) != ROOT:
        return caches
    hidden = {name for name in names if name.startswith(".") and name not in (".ci", ".gitignore")}
    return caches | hidden | NOT_THE_PROJECTS & set(names)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A new environment that has nothing but pip and what builds distributions."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "environment", with_pip=True)
    (place / "outside").mkdir()
    environment = Installed(place / "environment" / "bin", place / "outside")
    environment.pip("install", "--quiet", "-c", str(ROOT / "requirements" / "lock.txt"), "build")
    return environment


@pytest.fixture(scope="module")
def distributions(copy: Path, empty: Installed) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = empty.outside / "distributions"
    empty.run("python", "-m", "build", "--outdir", str(folder), str(copy))
    return folder


@pytest.fixture(scope="module")
def installed(empty: Installed, distributions: Path) -> Installed:
    """The environment with the wheel and, by the lock, all that it asks for."""
    (wheel,) = distributions.glob("*.whl")
    empty.pip("install", "--quiet", "-c", str(ROOT / "requirements" / "lock.txt"), str(wheel))
    return empty


def files_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(copy: Path, distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    found = {name for name in files_of(wheel) if not re.match(r"prefix_rft-[^/]*\.dist-info/", name)}
    files = (path for package in PACKAGES for path in (copy / package).rglob("*") if path.is_file())
    wanted = {
        str(path.relative_to(copy)) for path in files if "egg-info" not in str(path) and path.suffix != ".pyc"
    }
    assert sorted(wanted - found) == []
    assert sorted(found - wanted) == []
    assert {
        "analysis/page/assets/page.html",
        "sweeps/main_results.yaml",
        "slurm/clusters/example.yaml",
    } <= found


def test_neither_distribution_names_this_machine_or_holds_tests(distributions: Path) -> None:
    (wheel,), (source,) = distributions.glob("*.whl"), distributions.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        packed = {item.name: archive.extractfile(item) for item in archive if item.isfile()}
        contents = files_of(wheel) | {name: file.read() for name, file in packed.items() if file}
    assert not [
        name
        for name in contents
        if re.search(r"(^|/)(tests|shared|benchmarks/results|runs/[0-9a-f]{12})/", name)
    ]
    private = [
        str(ROOT),
        str(Path.home()) + "/",
        socket.gethostname() if len(socket.gethostname()) > 7 else str(ROOT),
    ]
    told = {name: word for name, raw in contents.items() for word in private if word.encode() in raw}
    assert told == {}


def test_what_is_installed_agrees_and_is_what_is_imported(installed: Installed) -> None:
    assert "No broken requirements" in installed.pip("check")
    folders = json.loads(installed.run("python", "-c", REPORTED % (PACKAGES,)))
    assert all(path.startswith(str(installed.bin.parent)) for path in folders.values()), folders


def commands_of(said: str) -> list[str]:
    _, _, after = said.partition("Commands")
    return re.findall(r"^\W{1,3}([a-z][a-z-]+) ", after, re.MULTILINE)


def test_every_command_says_what_it_is_for(installed: Installed) -> None:
    commands = commands_of(installed.run("prefix-rft", "--help"))
    assert {"demo", "plan", "table", "report", "eval", "doctor"} <= set(commands)
    for command in commands:
        assert "Usage:" in installed.run("prefix-rft", command, "--help")


def test_settings_plans_and_plugins_are_found_outside_the_repository(installed: Installed) -> None:
    shown = installed.run("python", "-m", "experiments.run", "--cfg", "job", "method=rft", "seed=3")
    assert "name: rft" in shown
    assert "seed: 3" in shown
    assert "main_results" in installed.run("prefix-rft", "plan", "main_results", "store=nowhere")
    scripts = installed.run(
        "prefix-rft",
        "plan",
        "main_results",
        "seed=0",
        "store=nowhere",
        "hydra/launcher=slurm",
        "cluster=example",
    )
    assert "#SBATCH" in scripts
    assert {"LocalLauncher", "SlurmLauncher", "GridSweeper"} <= set(
        installed.run("python", "-c", PLUGINS).split()
    )


def test_the_smallest_demo_writes_its_report_outside_the_repository(installed: Installed) -> None:
    said = installed.run("prefix-rft", "demo", *SMALL, seconds=1_800)
    assert "Prefix-RFT" in said
    written = {path.name for path in (installed.outside / "report").iterdir()}
    assert {"table.md", "table.csv", "table.tex", "report.md", "index.html"} <= written
    states = [json.loads(path.read_text()) for path in (installed.outside / "runs").glob("*/state.json")]
    assert len(states) > 12
    assert {state["status"] for state in states} == {"done"}


def test_the_sdist_installs_the_same_files(installed: Installed, distributions: Path) -> None:
    def ours() -> list[str]:
        lines = installed.run("python", "-c", LISTED).splitlines()
        return [
            line
            for line in lines
            if line.startswith(PACKAGES) and ".pyc" not in line and "dist-info" not in line
        ]

    before = ours()
    (source,) = distributions.glob("*.tar.gz")
    installed.pip("install", "--quiet", "--no-deps", "--force-reinstall", str(source))
    assert len(before) > 200
    assert ours() == before
    assert "No broken requirements" in installed.pip("check")
    installed.run("prefix-rft", "plan", "main_results", "store=nowhere")


@pytest.mark.parametrize(("target", "program"), [("demo", "prefix-rft demo"), ("test", "pytest")])
def test_make_works_without_git_and_real_data(copy: Path, target: str, program: str) -> None:
    assert not (copy / ".git").exists()
    assert not (copy.parent / "shared").exists()
    shown = subprocess.run(["make", "-n", target], cwd=copy, capture_output=True, text=True, check=True)
    assert program in shown.stdout


@pytest.fixture
def bare() -> dict[str, str]:
    """The environment of a process that is told of no real data."""
    named = {key: value for key, value in os.environ.items() if key != "PREFIX_RFT_SHARED_DATA"}
    return {**named, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "300"}


def test_tests_that_look_for_git_or_real_data_cope_without(copy: Path, bare: dict[str, str]) -> None:
    words = [
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-m",
        NEITHER_SLOW_NOR_SPECIAL,
    ]
    done = subprocess.run(
        [sys.executable, *words, *WITHOUT_GIT_OR_DATA],
        cwd=copy,
        env={**bare, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=1_200,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "no real data at" in done.stdout
