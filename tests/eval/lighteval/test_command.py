"""`prefix-rft lighteval`: what it finds, prints, writes and ends with; lighteval itself is replaced."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from eval.benchmarks.schema import Problem
from eval.evaluated import SCIENTIFIC
from eval.lighteval.compare import EQUALITY, Comparison, Disagreement, Pair
from eval.lighteval.environment import Environment, LightevalError
from experiments.cli import app
from experiments.commands import lighteval_replay as command
from prefix_rft.errors import DataError

PROBLEMS = [Problem("s1", "1 + 1", "2"), Problem("s2", "2 + 2", "4")]
RESPONSES = {"s1": ["\\boxed{2}", "\\boxed{2}"], "s2": ["\\boxed{4}", "\\boxed{5}"]}
HERE = Environment(Path("here"), "0.13.0")
DISAGREEMENT = Disagreement("s2", 1, "4", False, True, "5", "4 | " + "4" * 60, EQUALITY)


def compared(evaluation, **changes):
    pair, same = Pair("avg@2", 0.75, 1.0), Pair("avg@2", 1.0, 1.0)
    made = Comparison(
        evaluation.folder, evaluation.task, "0.13.0", 2, 2, (pair,), 1, (same,), 0.0, (DISAGREEMENT,)
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture
def replays(monkeypatch):
    """Stands for lighteval; the rounds it was started for."""
    rounds = []

    def replay(evaluations, environment, keep=None):
        rounds.append(([evaluation.task for evaluation in evaluations], keep))
        return [compared(evaluation) for evaluation in evaluations]

    monkeypatch.setattr(command, "replay", replay)
    monkeypatch.setattr(command, "find_or_make", lambda setting, agreed: HERE)
    return rounds


@pytest.fixture
def problems(tmp_path):
    rows = [{"id": problem.id, "problem": problem.problem, "answer": problem.answer} for problem in PROBLEMS]
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(folders, **changes):
    output = io.StringIO()
    given = {
        "benchmarks": None, "problems": None, "environment": None, "yes": False, "keep": None, "json_path": None,
        "show": 20, "console": Console(file=output, width=200),
    }  # fmt: skip
    code = command.replay_folders(folders, **(given | changes))
    return code, output.getvalue()


def test_numbers_and_disagreements_are_printed_and_written(evaluation, replays, problems, tmp_path):
    made = evaluation("own", PROBLEMS, RESPONSES)
    code, printed = run([made.folder], problems=problems, json_path=tmp_path / "found.json")
    assert code == 0
    assert "avg@2    0.750000   1.000000           +0.250000    0.0e+00" in printed
    assert (
        f"The graders differ on 1 of 4 samples; they agree on every sample of 1 problems.\n  1: {EQUALITY}"
        in printed
    )
    assert "But for these the numbers are the same (to 1e-09)." in printed
    assert "4 | 444" in printed
    (found,) = json.loads((tmp_path / "found.json").read_text())
    assert (found["same"], found["task"], found["reasons"]) == (True, "problems", {EQUALITY: 1})
    assert found["disagreements"][0]["question_id"] == "s2"


def test_a_difference_without_a_reason_ends_with_1(evaluation, replays, problems, monkeypatch):
    made = evaluation("own", PROBLEMS, RESPONSES)
    monkeypatch.setattr(command, "replay", lambda *_: [compared(made, unexplained=0.125)])
    code, printed = run([made.folder], problems=problems)
    assert code == 1
    assert "THE NUMBERS DIFFER BEYOND THAT, by up to 1.2e-01" in printed


def test_the_rest_of_a_long_list_is_counted(evaluation, replays, problems):
    made = evaluation("own", PROBLEMS, RESPONSES)
    _, printed = run([made.folder], problems=problems, show=0)
    assert "and 1 more (--list, --json)" in printed


def test_evaluations_below_a_folder_two_of_a_task_in_two_rounds(evaluation, replays, problems, tmp_path):
    first, second = (evaluation(name, PROBLEMS, RESPONSES) for name in ("own", "other"))
    amc = evaluation("amc", PROBLEMS, RESPONSES)
    code, _ = run([first.folder.parent], problems=problems, keep=tmp_path / "kept")
    assert {first.folder.parent, second.folder.parent, amc.folder.parent} == {first.folder.parent}
    assert code == 0
    assert replays == [(["amc", "problems"], tmp_path / "kept/0"), (["problems"], tmp_path / "kept/1")]


def test_a_second_grading_of_the_same_samples_is_not_replayed(evaluation, replays, problems):
    made = evaluation("own", PROBLEMS, RESPONSES)
    shutil.copytree(made.folder, made.folder / SCIENTIFIC)
    run([made.folder.parent], problems=problems)
    assert [tasks for tasks, _ in replays] == [["problems"]]


def test_a_folder_without_an_evaluation_is_refused(replays, tmp_path):
    with pytest.raises(DataError, match=r"has no scores\.json, nor a folder below it"):
        run([tmp_path])


def test_an_evaluation_on_no_benchmark_needs_its_problems(evaluation, replays):
    made = evaluation("validation", PROBLEMS, RESPONSES)
    with pytest.raises(DataError, match=r"on 'validation', which is no benchmark; .*--problems FILE"):
        run([made.folder])


def test_a_bad_row_of_problems_is_named(evaluation, replays, tmp_path):
    made = evaluation("own", PROBLEMS, RESPONSES)
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "s1", "problem": "1 + 1"}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl, row 1, field 'answer'"):
        run([made.folder], problems=path)


def test_nothing_is_installed_where_nobody_can_be_asked(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert command.consent(yes=True)("Install?") is True
    assert command.consent(yes=False)("Install?") is False


@pytest.mark.parametrize(("answer", "agreed"), [("y\n", True), ("\n", False), ("no\n", False), ("", False)])
def test_at_a_terminal_it_is_asked(monkeypatch, capsys, answer, agreed):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr", Terminal())
    assert command.consent(yes=False)("Install?") is agreed


def test_the_command_line_refuses_without_a_traceback(evaluation, problems, tmp_path):
    made = evaluation("own", PROBLEMS, RESPONSES)
    arguments = [
        "lighteval",
        str(made.folder),
        "--problems",
        str(problems),
        "--environment",
        str(tmp_path / "e"),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert f"error: there is no lighteval environment in {tmp_path / 'e'}" in done.output
    assert "make lighteval" in done.output


def test_documents_name_what_to_set(monkeypatch, replays, tmp_path):
    def write(benchmarks, out, environment, source):
        out.mkdir()
        for benchmark in benchmarks:
            (out / benchmark.file).write_text("{}\n{}\n")
        return [out / benchmark.file for benchmark in benchmarks]

    monkeypatch.setattr(command, "write_documents", write)
    done = CliRunner().invoke(app, ["lighteval-documents", "arc_c,mmlu_pro", "--out", str(tmp_path / "d")])
    assert done.exit_code == 0
    assert f"{tmp_path / 'd'}/arc_c.jsonl: 2 problems" in done.output
    assert f"PREFIX_RFT_BENCHMARKS={tmp_path / 'd'}" in done.output
    monkeypatch.setattr(command, "find_or_make", _refuse)
    done = CliRunner().invoke(app, ["lighteval-documents", "--out", str(tmp_path / "d")])
    assert (done.exit_code, "error: none" in done.output) == (2, True)


def _refuse(setting, agreed):
    raise LightevalError("none")
