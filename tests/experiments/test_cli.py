"""The command line: help, exit codes, and what it says before anything has run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.exits import CellsFailedError, CellsInterruptedError, exits
from prefix_rft.errors import DataError

COMMANDS = (
    "demo",
    "plan",
    "reproduce",
    "audit",
    "status",
    "table",
    "report",
    "grade",
    "check-data",
    "prepare-data",
    "prepare-model",
)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """`prefix-rft` in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, list(arguments))
        return done.exit_code, done.stdout, done.stderr

    return run


def test_help_lists_every_command(command):
    code, said, _ = command("--help")
    assert code == 0
    assert all(f" {name} " in said for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(command, name):
    code, said, _ = command(name, "--help")
    assert code == 0
    assert f"prefix-rft {name}" in said or f"{name} [OPTIONS]" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["table", "nonsense"],
        ["table", "main_results", "pass_at_k"],
        ["plan", "nonsense"],
        ["reproduce", "--only", "main_results,nonsense"],
        ["reproduce", "typo=1", "--only", "main_results"],
        ["table", "typo=1"],
        ["report", "main_results", "method=foo"],
        ["demo", "scale=foo"],
        ["check-data", "data=jsonl"],
        ["check-data", "data=jsonl", "data.path=missing.jsonl", "model=scratch"],
        ["grade", "missing.jsonl"],
        ["prepare-data", "openr2"],
        ["prepare-data", "openr1", "--file", "missing.parquet", "--tokenizer", "missing"],
        ["prepare-data", "openr1", "--wrong", "mend"],
        ["prepare-model", "missing/folder/name", "--out", "m"],
    ],
    ids=" ".join,
)
def test_what_is_refused_ends_with_two(command, arguments):
    code, _, errors = command(*arguments)
    assert code == 2
    assert "rror" in errors


def test_status_of_a_store_that_is_not_there_says_so(command, tmp_path):
    code, said, _ = command("status", "--store", "nowhere")
    assert code == 0
    assert said.startswith(f"no runs in {tmp_path / 'nowhere'}; start some with `python -m experiments.run`")


def test_a_table_before_anything_ran_says_not_started(command, tmp_path):
    code, said, errors = command("table", "seed=0")
    assert (code, errors) == (0, "")
    lines = [line.split() for line in said.splitlines()]
    for name in ("SFT", "RFT", "SFT→RFT", "Prefix-RFT"):
        assert [name, "0/1", "not", "started", "-"] in lines
    assert list(tmp_path.iterdir()) == []


def test_a_report_before_anything_ran_is_a_report(command, tmp_path):
    code, said, _ = command("report", "main_results", "seed=0", "--out", "page")
    assert code == 0
    assert "files in page: report.md, table.md" in said
    assert "not started" in (tmp_path / "page" / "report.md").read_text()


def test_a_report_of_whatever_there_is_says_that_there_is_nothing(command, tmp_path):
    code, _, said = command("report", "seed=0", "--out", "page")
    assert code == 2
    assert "has no run of" in said
    assert "prefix-rft reproduce" in said
    assert not (tmp_path / "page").exists()


def test_the_installed_command_prints_no_traceback_for_a_users_mistake():
    done = subprocess.run(
        [Path(sys.executable).parent / "prefix-rft", "table", "method=foo"], capture_output=True, text=True
    )
    said = (
        "error: sweep main_results: unknown method 'foo'. "
        "Known: dr_po, luffy, prefix_rft, relift, rft, rl_sft_loss, sft, sft_rft, uft.\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CellsFailedError("x"), 1),
        (DataError("x"), 2),
        (CellsInterruptedError("x"), 75),
        (KeyboardInterrupt(), 75),
    ],
)
def test_exit_codes(error, code):
    with pytest.raises(SystemExit) as left, exits():
        raise error
    assert left.value.code == code


def test_an_error_that_is_not_the_users_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), exits():
        raise ZeroDivisionError
