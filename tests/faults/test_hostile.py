"""Hostile rows from the file to the table: no path leaves the store, no terminal gets an escape code."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eval.contamination import Contamination
from experiments.commands.check_data import check_data
from experiments.commands.contamination import _COLUMNS, _as_csv
from experiments.plain_console import PlainConsole
from prefix_rft.data import load
from prefix_rft.data.encode import SkippedQuestion
from prefix_rft.errors import DataError, PrefixRftError
from prefix_rft.grading import make_grader
from prefix_rft.runs.state import StateWriter, read_state
from prefix_rft.runs.store import Store
from prefix_rft.settings import GradingSettings, JsonlData, parse
from prefix_rft.visible import spreadsheet_text, visible

ROOT = Path(__file__).parents[2]
PAYLOADS = {
    "path": "../../../../x",
    "absolute": "/etc/x",
    "device": "con",
    "long": "n" * 300,
    "escape": "\x1b[2J\x1b]0;title\x07\x1b[31mred",
    "bidi": "a\u202egnp.exe\u2066b\u200bc",
    "null": "a\x00b",
    "script": "</script><script>window.ran=1</script><img src=x onerror=window.ran=1>",
    "template": "{{ 7 * 7 }} ${7*7} #{7*7} {% for x in y %}",
    "rich": "[/red] [bold] [link=http://x] [red]unclosed",
    "latex": r"\input{/etc/passwd}\write18{touch x} $ & % _ # ^ ~",
    "formula": "=cmd|' /C calc'!A0",
    "at": "@SUM(1+1)*cmd",
    "number": "10^10^10",
    "exponent": "1e999999",
    "digits": "9" * 4000,
    "percent": "%s%n%(x)s {0} {}",
    "newline": "a\nid: b\r\nc\u2028d",
}
HARMFUL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]")
"""What moves a cursor, hides text or turns its direction."""


def rows() -> list[dict[str, Any]]:
    """Each payload as id, question, answer and demonstration."""
    found = []
    for number, (name, text) in enumerate(PAYLOADS.items()):
        answer = text if name in ("number", "exponent", "digits", "formula", "latex") else str(number)
        shown = text[:200]
        solution = f"{shown} \\boxed{{{answer[:200]}}}"
        found.append({"id": text, "problem": f"{shown} {number}?", "answer": answer, "solution": solution})
    return found


@pytest.fixture
def hostile_file(tmp_path: Path) -> Path:
    file = tmp_path / "hostile.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return file


def settings_of(file: Path, **more: Any) -> Any:
    return parse(JsonlData, {"path": str(file), "validation_questions": 2, "test_questions": 4, **more})


def test_every_row_is_a_question_with_its_text_untouched(hostile_file: Path) -> None:
    dataset = load(settings_of(hostile_file, validation_questions=0, test_questions=0))
    assert {question.id for question in dataset.train} == set(PAYLOADS.values())


@pytest.mark.parametrize("name", PAYLOADS)
def test_an_error_that_quotes_it_moves_no_cursor(tmp_path: Path, name: str) -> None:
    text = PAYLOADS[name]
    for error in (
        PrefixRftError(text),
        DataError(f"row 3: {text}"),
        PrefixRftError(SkippedQuestion(text, "prompt", text)),
    ):
        assert not HARMFUL.search(str(error))
        assert "\r" not in str(error)
    (tmp_path / "run").mkdir()
    StateWriter(tmp_path / "run").failed(ValueError(text))
    failure = read_state(tmp_path / "run").error
    assert failure is not None
    assert not HARMFUL.search(failure.message)


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("name", PAYLOADS)
def test_a_console_shows_it_and_keeps_its_own_colours(name: str, terminal: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = PlainConsole(
        file=out, force_terminal=terminal, width=8000, color_system="standard" if terminal else None
    )
    console.print(Text("plain", style="red"))
    ours = out.getvalue()
    table = Table("id")
    table.add_row(Text(PAYLOADS[name]))
    console.print(table)
    console.print(PAYLOADS[name], markup=False, highlight=False, soft_wrap=True)
    said = out.getvalue().removeprefix(ours)
    assert ("\x1b[31m" in ours) == terminal
    for code in ("\x1b[2J", "\x1b]0;", "\x07", "\x00", "\u202e", "\u2066", "\x1b[31mred"):
        assert code not in said
    if name == "escape":
        assert "[U+001B][31mred" in said


def test_checking_the_data_lists_it_without_harm(hostile_file: Path) -> None:
    out = io.StringIO()
    settings = settings_of(hostile_file, max_prompt_tokens=4, validation_questions=0, test_questions=0)
    check_data(settings, None, PlainConsole(file=out, width=160))
    assert not HARMFUL.search(out.getvalue())
    assert "18" in out.getvalue()


def test_a_cell_of_a_csv_file_is_no_formula() -> None:
    assert [spreadsheet_text(text) for text in ("=1+1", "@x", "-2", "+3", "\t=1", "q1", "")] == [
        "'=1+1", "'@x", "'-2", "'+3", "'\t=1", "q1", "",
    ]  # fmt: skip
    hit = SimpleNamespace(**dict.fromkeys(_COLUMNS[2:], "=1+1"))
    overlap = SimpleNamespace(benchmark="b", side="question", hits=[hit])
    written = _as_csv(cast(Contamination, SimpleNamespace(overlaps=[overlap])))
    assert written.splitlines()[1] == ",".join(["b", "question", *["'=1+1"] * len(_COLUMNS[2:])])


def test_visible_says_the_code_point_and_leaves_plain_text_alone() -> None:
    assert visible("a\x1b[31m\u202eb\r\nc\td") == "a[U+001B][31m[U+202E]b\nc\td"
    assert visible("é 数 🙂 ±") == "é 数 🙂 ±"
    assert visible("1\r2", keep="\r") == "1\r2"


def test_huge_numbers_are_graded_within_the_limit() -> None:
    pairs = [(gold, rf"\boxed{{{gold}}}") for gold in HUGE] + [("3", rf"\boxed{{{HUGE[0]}}}")]
    with make_grader(GradingSettings(timeout_seconds=2.0, workers=1)) as grader:
        grades = grader.grade(pairs)
    assert {grade.status for grade in grades} <= {"ok", "timeout", "out_of_memory"}
    assert [grade.correct for grade in grades] == [True, True, True, False]


HUGE = ("10^{10^{10}}", "1e999999", "9" * 400)


def _command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT)},
    )


def overrides(file: Path) -> list[str]:
    """Two short steps of a tiny model that is made for these rows."""
    sizes = (
        "hidden_size=16",
        "intermediate_size=32",
        "layers=1",
        "heads=2",
        "key_value_heads=2",
        "max_positions=4096",
    )
    lengths = (
        "max_prompt_tokens=2000",
        "max_response_tokens=1200",
        "validation_questions=2",
        "test_questions=4",
    )
    rl = ("steps=2", "questions_per_step=3", "validate_every=1", "mini_batches=1", "gradient_norms_every=0")
    return [
        f"data.path={file}",
        "data=jsonl",
        "model=scratch",
        "model.vocabulary=320",
        "method=prefix_rft",
        "method.rollouts=2",
        "tracking=offline",
        "evaluation.protocol=tiny",
        "evaluation.samples=1",
        "evaluation.pass_at=[1]",
        "evaluation.splits=[test]",
        *(f"model.architecture.{size}" for size in sizes),
        *(f"data.{length}" for length in lengths),
        *(f"optimisation.rl.{setting}" for setting in rl),
    ]


@pytest.mark.slow
def test_from_the_file_to_the_table_nothing_leaves_the_store(hostile_file: Path, tmp_path: Path) -> None:
    """Trained, evaluated, mirrored, listed and shown by the commands that a user types."""
    home = tmp_path / "home"
    home.mkdir()
    before = _listing(tmp_path)
    done = _command("experiments.run", *overrides(hostile_file), cwd=home)
    assert done.returncode == 0, done.stderr
    said = [done.stdout, done.stderr]
    (run,) = [found.path for found in Store(home / "runs").runs() if found.kind == "train"]
    (run / "run.log").write_text("\n".join(PAYLOADS.values()))  # as a library's traceback might quote them
    for command in (["status"], ["logs", run.name], ["check-data", *overrides(hostile_file)]):
        shown = _command("experiments.cli", *command, cwd=home)
        assert shown.returncode in (0, 1), shown.stderr  # check-data: 1 where something does not fit
        said += [shown.stdout, shown.stderr]
    assert [text for text in said if HARMFUL.search(text)] == []
    made = _listing(tmp_path) - before
    assert {path.parts[0] for path in made} == {"home"}
    assert {path.parts[1] for path in made} - {"home"} <= {"runs"}
    names = {part for path in made for part in path.parts}
    assert not names & {"x", "con", "passwd"}
    assert max(map(len, names)) < 100
    assert json.loads((run / "state.json").read_text())["status"] == "done"
    assert list((run / "wandb").glob("wandb/offline-run-*")) or list((run / "wandb").glob("offline-run-*"))


def _listing(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}
