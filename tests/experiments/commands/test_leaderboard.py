"""`prefix-rft leaderboard`: words, options, files."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.commands.leaderboard import settings
from prefix_rft.errors import SettingsError


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["leaderboard", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_published_rows_without_any_evaluation() -> None:
    text = run("source=Prefix-RFT arXiv")
    first, second = (
        next(i for i, line in enumerate(text.splitlines()) if line.startswith(n)) for n in ("Pre", "LUF")
    )
    assert first < second
    assert "51.8" in text
    assert "No evaluation of ours" in text


def test_options_and_words_mean_the_same() -> None:
    options = ("--model", "qwen2.5-math-1.5b", "--benchmarks", "aime24,amc", "--metric", "avg")
    words = ("model=qwen2.5-math-1.5b", "benchmarks=aime24,amc", "metric=avg")
    assert run(*options) == run(*words)


def test_a_setting_given_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="model is given twice"):
        settings(["model=a"], model="b")


def test_words_that_are_no_settings_are_folders(tmp_path: Path) -> None:
    asked = settings([str(tmp_path), "sort=amc"])
    assert (asked.folders, asked.sort) == ((tmp_path,), "amc")
    text = run(str(tmp_path), "benchmarks=aime24", "source=LUFFY")
    assert "No evaluation of ours" in text


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'benchmarks'"):
        settings(["benchmark=aime24"])


def test_a_table_is_written_by_its_ending(tmp_path: Path) -> None:
    run(f"out={tmp_path / 'board.md'}", "source=LUFFY", "benchmarks=aime24")
    run(f"out={tmp_path / 'board.csv'}", "source=LUFFY", "benchmarks=aime24")
    assert (tmp_path / "board.md").read_text().startswith("| Method | AIME24 | Source |")
    assert (tmp_path / "board.csv").read_text().startswith("name,model,source,column,")
    done = CliRunner().invoke(app, ["leaderboard", f"out={tmp_path / 'board.txt'}"])
    assert done.exit_code != 0
    assert not (tmp_path / "board.txt").exists()


def test_formats_on_the_terminal() -> None:
    assert run("format=markdown", "benchmarks=aime24", "source=HPT").startswith(
        "| Method | AIME24 | Source |"
    )
    assert run("format=csv", "benchmarks=aime24", "source=HPT").startswith("name,model,source,column,")


def test_a_missing_folder_is_an_error() -> None:
    done = CliRunner().invoke(app, ["leaderboard", "nowhere/at/all"])
    assert done.exit_code != 0
