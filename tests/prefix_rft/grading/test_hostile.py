"""Responses made to hang, to fill memory or to crash: each costs at most its limit, and no neighbour its verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from prefix_rft.grading import Grade, Grader, make_grader
from prefix_rft.grading.labelled import RULES
from prefix_rft.settings.grading import GradingSettings

SECONDS = 3.0
START = 12.0
"""Seconds that a new worker may take to start on a busy machine."""

FAST = {
    "tower of powers": "9^{9^{9^9}}",
    "digits": "7" * 100_000,
    "null bytes": "1\x00" * 50,
    "lone surrogate": "\ud8003",
    "right to left": "\u202e\u200f3\u202c",
    "backslashes": "\\" * 50_000,
    "unclosed fractions": "\\frac{" * 5_000,
    "emoji": "\U0001f600" * 1_000,
    "combining marks": "3" + "\u0301" * 10_000,
    "scientific": "1e999999999",
    "grouped digits": "1" + ",000" * 30_000,
}
SLOW = {
    "factorial": "10000000!",
    "factorials": "(((9!)!)!)!",
    "binomial": "\\binom{10^{9}}{5\\cdot 10^{8}}",
    "nested roots": "\\sqrt{" * 2_000 + "2" + "}" * 2_000,
    "nested fractions": "\\frac{1}{1+" * 1_500 + "1" + "}" * 1_500,
    "parentheses": "(" * 20_000 + "1" + ")" * 20_000,
    "decimals": "0." + "3" * 100_000,
    "list": ",".join(map(str, range(20_000))),
    "sum": "+".join(["x^{7}"] * 5_000),
    "product": "(x+1)" * 400,
    "integral": "\\int_0^1 \\int_0^1 e^{x^{y^{x}}} dx dy",
    "long sum": "\\sum_{n=1}^{10^{9}} \\frac{1}{n^{n}}",
    "repeating": "0.\\overline{" + "142857" * 10_000 + "}",
    "units": "3" + " \\text{ m}" * 5_000,
    "mixed digits": "\u0663\u0664\uff15" * 20_000,
    "matrix": "\\begin{pmatrix}" + "1 & " * 5_000 + "1\\end{pmatrix}",
    "dollars": "$" * 50_000,
    "spaces": "1" + " " * 100_000 + "2",
    "tower of numbers": "2^{2^{2^{2^{2^{2^2}}}}}",
    "big modulus": "3^{10^{10}} \\bmod 7",
}
RESPONSES_WITHOUT_A_BOX = {
    "1 MB of words": "so it goes on " * 75_000,
    "unclosed boxes": "\\boxed{" * 150_000,
    "one box of braces": "\\boxed{" * 100 + "{" * 1_000_000,
    "formulas never closed": "\\[" * 500_000,
    "dollars": "$ " * 500_000,
    "answers without end": "the answer is " * 70_000,
    "white space": " \n" * 500_000,
}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "scientific"])
def impatient(request: pytest.FixtureRequest) -> Iterator[Grader]:
    with make_grader(GradingSettings(timeout_seconds=SECONDS, scientific=request.param)) as grader:
        grader.start()
        yield grader


def grade_in_time(grader: Grader, answer: str) -> Grade:
    """The grade of a hostile answer between two others, each of which gets the verdict it gets alone."""
    began = time.monotonic()
    before, grade, after = grader.grade(
        [("x+1", "\\boxed{1+x}"), ("387420489", f"\\boxed{{{answer}}}"), ("y+2", "\\boxed{2+y}")]
    )
    assert time.monotonic() - began < 2 * SECONDS + 2 * START, "two attempts, two starts"
    assert before.correct
    assert after.correct
    return grade


@pytest.mark.parametrize("name", FAST)
def test_a_hostile_answer_gets_its_verdict_within_the_limit(impatient: Grader, name: str) -> None:
    assert not grade_in_time(impatient, FAST[name]).correct


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_slow_hostile_answer_gets_its_verdict_within_the_limit(impatient: Grader, name: str) -> None:
    assert not grade_in_time(impatient, SLOW[name]).correct


@pytest.mark.parametrize("name", RESPONSES_WITHOUT_A_BOX)
def test_a_response_that_never_ends_is_searched_in_seconds(name: str) -> None:
    """Rules run in the calling process, so that they may not hang."""
    settings = GradingSettings(extract=(*RULES, "last_number"), verifier="exact")
    with make_grader(settings) as grader:
        began = time.process_time()
        (grade,) = grader.grade([("17", RESPONSES_WITHOUT_A_BOX[name])])
    assert not grade.correct
    assert time.process_time() - began < 20


@pytest.mark.slow
def test_many_hostile_answers_leave_the_pool_whole() -> None:
    answers = [*FAST.values(), *SLOW.values()]
    settings = GradingSettings(timeout_seconds=SECONDS, workers=2)
    with make_grader(settings) as grader:
        pairs = [(f"x+{index}", f"\\boxed{{{answer}}}") for index, answer in enumerate(answers)]
        good = [(f"x+{index}", f"\\boxed{{{index}+x}}") for index in range(len(answers))]
        mixed = [pair for both in zip(pairs, good, strict=True) for pair in both]
        grades = grader.grade(mixed)
        assert not any(grade.correct for grade in grades[::2])
        assert [grade.correct for grade in grades[1::2]] == [True] * len(good)
        assert len(grader._pool.pids) <= 2
