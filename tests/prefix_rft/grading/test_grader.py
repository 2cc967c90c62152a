from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefix_rft.errors import GradingError
from prefix_rft.grading import Grade, Grader, make_grader, version
from prefix_rft.settings.grading import GradingSettings

TOY = GradingSettings(extract=("after_marker",), marker="#", verifier="exact")
BARE = GradingSettings(extract=("whole",), timeout_seconds=30)

COUNTING = """
import os, pathlib
log = pathlib.Path(__file__).with_suffix(".log")

def respond(task, gold, answer):
    with log.open("a") as file: file.write(answer + "\\n")
    if answer == "die": os._exit(1)
    if answer == "raise": raise ValueError("no")
    if answer == "fill": bytearray(2**40)
    return answer == gold + ".0", "ok"
"""


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with make_grader(BARE) as made:
        yield made


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Grader, Path]]:
    (tmp_path / "counting_worker.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(str(tmp_path))
    with Grader(BARE, entry="counting_worker:respond", cached=8) as made:
        yield made, tmp_path / "counting_worker.log"


def test_exact_grades_in_this_process_and_ignores_outer_whitespace_only() -> None:
    with make_grader(TOY) as grader:
        grades = grader.grade([("12", "33-21=12#12 "), ("12", "#012"), ("12", "12"), ("$12$", "#12")])
        grader.start()
        assert grader.counts.worker_restarts == 0
        assert grader._pool.pids == []
    assert grades == [
        Grade(True, "ok", "12"),
        Grade(False, "ok", "012"),
        Grade(False, "no_answer", None),
        Grade(False, "ok", "12"),
    ]
    assert grader.counts.as_dict()["ok"] == 3


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("\\frac12", "0.5"),
        ("10000", "10{,}000"),
        ("10000", "10,000"),
        ("1000", "1 000"),
        ("\\$36", "36"),
        ("$x+y-z+1=0$", "x + y - z + 1 = 0"),
        ("\\{1, 2\\}", "\\{2,1\\}"),
        ("28\\%", "28\\%"),
        ("15\\mbox{ cm}^2", "15"),
        ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{bmatrix}1\\\\\n2\\end{bmatrix}"),
        ("\\text{(A)}", "A"),
        ("no such formula ☃", "$no such formula ☃$"),
        ("\\boxed{3} and \\boxed{2}", "2, 3"),
        ("72", "72.0"),
    ],
)
def test_equal_answers(grader: Grader, gold: str, answer: str) -> None:
    assert grader.grade([(gold, answer)]) == [Grade(True, "ok", answer)]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("\\frac12", "0.51"),
        ("2", "2, 3"),
        ("72", "27"),
        ("(1,2)", "(2,1)"),
        ("x+1", "x+2"),
        ("\\sqrt{2}", "1.4"),
    ],
)
def test_unequal_answers(grader: Grader, gold: str, answer: str) -> None:
    assert grader.grade([(gold, answer)]) == [Grade(False, "ok", answer)]


def test_each_failure_costs_one_verdict_and_is_counted(counting: tuple[Grader, Path]) -> None:
    grader, _ = counting
    answers = ["x.0", "die", "raise", "fill", "y"]
    grades = grader.grade([("x", answer) for answer in answers])
    assert [grade.status for grade in grades] == ["ok", "crashed", "error", "out_of_memory", "ok"]
    assert [grade.correct for grade in grades] == [True, False, False, False, False]
    counts = grader.counts.as_dict()
    assert (counts["ok"], counts["crashed"], counts["error"], counts["out_of_memory"]) == (2, 1, 1, 1)
    assert counts["worker_restarts"] == 4


def test_equal_pairs_are_compared_once_and_equal_strings_and_plain_numbers_never(
    counting: tuple[Grader, Path],
) -> None:
    grader, log = counting
    first = grader.grade([("x", "y"), ("x", "x.0"), ("x", "y"), ("x", " y"), ("x", "$x$"), ("1", "1.0")])
    second = grader.grade([("x", "x.0"), ("x", "y"), ("1", "2")])
    assert [grade.correct for grade in first] == [False, True, False, False, True, True]
    assert [grade.correct for grade in second] == [True, False, False]
    assert log.read_text().split() == ["y", "x.0"]
    assert grader.counts.cache_hits == 4


def test_progress_counts_what_needs_no_comparison_at_once_and_ends_at_all(
    counting: tuple[Grader, Path],
) -> None:
    grader, _ = counting
    known: list[int] = []
    grader.grade([("x", "x"), ("x", "y"), ("x", "z"), ("x", "y"), ("x", " "), ("1", "2")], known.append)
    assert known[0] == 4, "the same string, no answer, the repeat of another pair, and two plain numbers"
    assert known == sorted(known)
    assert known[-1] == 6
    with make_grader(TOY) as exact:
        exact.grade([("12", "#12"), ("12", "#13")], known.append)
    assert known[-1] == 2


def test_an_empty_gold_answer_is_refused(grader: Grader) -> None:
    with pytest.raises(GradingError, match=r"2 of 3 .* index 1"):
        grader.grade([("1", "1"), ("", "1"), (" ", "1")])


def test_gold_answers_are_empty_strings_or_mathematics(grader: Grader) -> None:
    golds = ["", " \n", "72", "$\\frac12$", "☃", "\x00", "72"]
    checks = ["empty", "empty", "parsed", "parsed", "string_only", "string_only", "parsed"]
    assert grader.check_golds(golds) == checks
    assert grader.check_gold("x = 3") == "parsed"
    with make_grader(TOY) as exact:
        assert exact.check_golds(["", "12"]) == ["empty", "string_only"]


def test_a_gold_answer_that_is_no_mathematics_is_still_graded_as_a_string(grader: Grader) -> None:
    assert [grade.correct for grade in grader.grade([("☃", "☃ "), ("☃", "0.5")])] == [True, False]
    assert grader.grade([("☃", "0.5")])[0].status == "unparsed"


def test_the_version_names_everything_that_decides_a_verdict() -> None:
    assert version(TOY) == "exact string; answer: after #; grader 1"
    assert version(GradingSettings()) == "math-verify 0.9.0 or exact string; answer: last_boxed; grader 2"


def test_the_version_names_departures_only() -> None:
    settings = GradingSettings(think="required", scientific=True)
    assert version(settings) == (
        "math-verify 0.9.0 or exact string; answer: last_boxed; of what follows </think>, else none; "
        "scientific notation read, version 2; grader 2"
    )
    after = GradingSettings(think="after_close")
    assert "of what follows </think>, else of all; grader 2" in version(after)


@pytest.mark.parametrize(
    ("response", "whole", "after_close", "required"),
    [
        ("\\boxed{2}", True, True, None),
        ("<think>\\boxed{2}</think>\\boxed{3}", False, False, False),
        ("<think>\\boxed{3}</think>\\boxed{2}", True, True, True),
        ("<think>\\boxed{2}</think>no box", True, None, None),
        ("<think>a</think>b</think>\\boxed{2}", True, True, True),
        ("<think>\\boxed{2}", True, True, None),
    ],
)
def test_thinking_is_graded_as_the_setting_says(
    response: str, whole: bool | None, after_close: bool | None, required: bool | None
) -> None:
    for think, expected in (("whole", whole), ("after_close", after_close), ("required", required)):
        settings = GradingSettings.model_validate({"think": think, "verifier": "exact"})
        with make_grader(settings) as exact:
            (grade,) = exact.grade([("2", response)])
        assert (None if grade.status == "no_answer" else grade.correct) == expected, think


def test_a_closed_grader_says_so(counting: tuple[Grader, Path]) -> None:
    grader, _ = counting
    grader.close()
    grader.close()
    with pytest.raises(GradingError, match="closed"):
        grader.grade([("x", "y")])


def test_importing_the_grader_imports_neither_torch_nor_sympy() -> None:
    heavy = ("torch", "sympy", "numpy", "math_verify")
    code = f"import sys, prefix_rft.grading; sys.exit(any(name in sys.modules for name in {heavy}))"
    subprocess.run([sys.executable, "-c", code], check=True)
