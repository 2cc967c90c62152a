"""`python -m experiments.run` as Hydra's own flags see it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.fixture
def run(tmp_path):
    """Exit code and output of experiments.run in an empty folder that stays empty."""

    def start(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "experiments.run", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert list(tmp_path.iterdir()) == []
        return done.returncode, done.stdout + done.stderr

    return start


def test_help_shows_groups_examples_and_exit_codes(run):
    code, said = run("--help")
    assert code == 0
    for line in ("method: dr_po, luffy, prefix_rft, relift, rft", "sweep: baseline_choice", "75 interrupted"):
        assert line in said
    assert "--multirun +sweep=main_results" in said


def test_the_composed_configuration_can_be_shown(run):
    code, said = run("--cfg", "job", "method=rft", "optimisation.rl.steps=7")
    assert code == 0
    assert "method:\n  name: rft\n" in said
    assert "steps: 7\n" in said


def test_hydras_own_help_stays(run):
    code, said = run("--hydra-help")
    assert code == 0
    assert "--multirun,-m" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--multirun", "method=sft,foo"],
            "error: unknown method 'foo'. Known: dr_po, luffy, prefix_rft, relift, rft, rl_sft_loss, sft, sft_rft, ",
        ),
        (
            ["--multirun", "+sweep=baseline_choice", "method.baseline=group"],
            "error: method.baseline is what tells the rows of this sweep apart and cannot be given: 'reference', ",
        ),
        (
            ["--multirun", "+sweep=main_results", "scale=papre"],
            "error: unknown scale 'papre'. Did you mean 'paper'?",
        ),
        (["sweep=main_results"], "error: sweep=main_results has many cells: add --multirun\n"),
        (["store=x", "--multirun", "seed=0,1", "typo=1"], "typo: there is no such setting; did you mean"),
    ],
)
def test_a_refused_configuration_starts_nothing(run, arguments, message):
    code, said = run(*arguments)
    assert code == 2
    assert message in said
    assert "Traceback" not in said
