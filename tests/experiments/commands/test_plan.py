"""`prefix-rft plan` as a user meets it: what it counts, what it prints, what it leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.commands.asked import sweep_and_overrides, sweeps_and_overrides, sweeps_of
from experiments.commands.plan import amount
from experiments.cost import estimate as cost_estimate
from experiments.cost.estimate import estimates
from experiments.cost.work import evaluation_work, training_work
from experiments.plan import plan
from experiments.selection import select
from experiments.sweeps import names
from prefix_rft.errors import SettingsError
from prefix_rft.runs.markers import TRAIN, StageMarkers
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import Store

HEAVY = ("torch", "ray", "wandb", "transformers", "pandas", "matplotlib")


@pytest.fixture
def command(tmp_path, monkeypatch):
    """`prefix-rft plan` in an empty folder that stays empty: exit code and lines."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, list[list[str]]]:
        done = CliRunner().invoke(app, ["plan", *arguments])
        assert list(tmp_path.iterdir()) == []
        return done.exit_code, [line.split() for line in (done.stdout + done.stderr).splitlines()]

    return run


def row(lines: list[list[str]], *start: str) -> list[str]:
    (found,) = [line for line in lines if tuple(line[: len(start)]) == start]
    return found


def test_cells_runs_and_costs_of_the_main_sweep(command):
    code, lines = command("seed=0")
    assert code == 0
    assert row(lines, "main_results")[1:4] == ["8", "9", "0"]
    assert row(lines, "base", "toy")[2:4] == ["1", "0"]
    assert row(lines, "prefix_rft", "toy")[2:4] == ["1", "0"]
    assert {"CPU", "min"} <= set(row(lines, "main_results"))


def test_several_sweeps_count_a_shared_run_once(command):
    code, lines = command("main_results", "+sweep=pass_at_k", "seed=0")
    assert code == 0
    assert row(lines, "pass_at_k")[1:4] == ["3", "4", "0"]
    assert row(lines, "all,")[1:7] == ["shared", "runs", "once", "11", "9", "0"]


def test_the_papers_scale_is_in_gpu_hours_with_its_assumptions(command):
    code, lines = command("main_results", "scale=paper", "seed=0", "method=rft")
    text = " ".join(word for line in lines for word in line)
    assert code == 0
    assert row(lines, "main_results")[1:4] == ["1", "1", "0"]
    assert {"GPU", "h"} <= set(row(lines, "main_results"))
    for said in ("one H100 at 99, 346, 346 useful TFLOP/s", "2 P n + 2 W n (n + 1)", "a response 35%"):
        assert said in text


def test_every_run_can_be_listed(command):
    _, lines = command("--runs", "seed=0,1", "method=sft")
    assert [line[1:6] for line in lines if len(line[0:1]) and len(line[0]) == 12][:3] == [
        ["base", "model", "(tiny)", "to", "do"],
        ["sft", "seed", "0", "to", "do"],
        ["sft", "seed", "1", "to", "do"],
    ]


def test_a_model_of_unknown_size_is_said_to_be_one(command):
    code, lines = command("scale=paper", "model=pretrained", "model.path=some/model", "seed=0", "method=rft")
    assert code == 0
    assert row(lines, "main_results")[4:] == ["?"] * 5
    assert any("some/model" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "unknown sweep 'nonsense'"),
        (["pass_at_k", "+sweep=pass_at_k"], "the sweep pass_at_k is named twice"),
        (
            ["baseline_choice", "method.baseline=group"],
            "sweep baseline_choice: method.baseline is what tells",
        ),
    ],
)
def test_what_is_refused_ends_with_two(command, arguments, said):
    code, lines = command(*arguments)
    assert code == 2
    assert said in " ".join(word for line in lines for word in line)


def test_what_a_command_line_names():
    assert sweeps_and_overrides(["a", "+sweep=b,c", "seed=0", "sweep=d", "~x"]) == (
        ["a", "b", "c", "d"],
        ["seed=0", "~x"],
    )
    assert sweeps_and_overrides(["seed=0"]) == (["main_results"], ["seed=0"])
    assert sweeps_and_overrides(["all"]) == (names(), [])
    assert sweep_and_overrides(["+sweep=a"]) == ("a", [])
    assert sweeps_of("a, b") == ["a", "b"]
    assert sweeps_of(None) == names()
    with pytest.raises(SettingsError, match="one sweep at a time, not a, b"):
        sweep_and_overrides(["a", "b"])


def test_nothing_heavy_is_imported():
    code = (
        "import sys, json\nfrom typer.testing import CliRunner\nfrom experiments.cli import app\n"
        "done = CliRunner().invoke(app, ['plan', 'main_results', 'scale=paper', 'seed=0'])\n"
        f"assert done.exit_code == 0, done.output\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.fixture
def tasks(tmp_path):
    return plan(select("main_results", ["seed=0,1", "method=rft", f"store={tmp_path}"]).configs).tasks


def pretend_done(monkeypatch, *done: str) -> None:
    """Whether a stage is done, without the files that say so."""
    monkeypatch.setattr(StageMarkers, "is_done", lambda self, stage: f"{self.run_path.name} {stage}" in done)


def test_a_trained_run_costs_only_its_evaluation(tmp_path, tasks, monkeypatch):
    store = Store(tmp_path)
    _, first, second = tasks
    store.create(first.run.identity, first.config)
    pretend_done(monkeypatch, f"{first.id} {TRAIN}")
    _, trained, untouched = estimates(tasks, store)[0]
    evaluation = evaluation_work(first.config, "test")
    assert trained.work == evaluation
    assert untouched.work == training_work(second.config) + evaluation
    assert 0 < trained.disk < untouched.disk


def test_finished_runs_on_a_cpu_correct_the_estimate(tmp_path, tasks, monkeypatch):
    """One run of two took twice what the model says; the other of the same kind is then said to take that too."""
    store = Store(tmp_path)
    before = estimates(tasks, store)[0]
    _, first, _ = tasks
    run = store.create(first.run.identity, first.config)
    StateWriter(run.path).attempt()
    stage = f"evaluate/test/{run.evaluation('test', first.config).name}"
    pretend_done(monkeypatch, f"{first.id} {TRAIN}", f"{first.id} {stage}")
    monkeypatch.setattr(cost_estimate, "_took", lambda run: 2 * before[1].seconds if run else None)
    after, measured = estimates(tasks, store)
    assert [estimate.done for estimate in after] == [False, True, False]
    assert (after[1].seconds, after[2].seconds) == (0.0, 2 * before[2].seconds)
    assert after[0].seconds == before[0].seconds
    assert measured[("rft", "toy")].ratio == pytest.approx(2.0)


def test_amounts():
    assert [amount(value) for value in (7, 1500, 2.5e6, 3e9, 4e12)] == [
        "7 ",
        "1.5 k",
        "2.5 M",
        "3.0 G",
        "4.0 T",
    ]
