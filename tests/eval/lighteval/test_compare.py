"""Numbers side by side, and in what the graders differ."""

from __future__ import annotations

import pytest

from eval.benchmarks.schema import Problem
from eval.lighteval import compare as module
from eval.lighteval.compare import compare, reason_of
from eval.lighteval.run import Report, Said
from prefix_rft.errors import DataError

PROBLEMS = [Problem("p", "?", "2"), Problem("q", "?", "4")]
RESPONSES = {"p": ["\\boxed{2}", "\\boxed{3}"], "q": ["\\boxed{4}", "the answer is 4"]}


def said(verdicts, answers=("2 | 2", "3 | 3")):
    """As lighteval reports a problem of two samples."""
    right = sum(verdicts)
    metrics = {
        "avg@n:n=2": right / 2,
        "pass@k:k=1&n=2": right / 2,
        "pass@k:k=2&n=2": float(right > 0),
    }
    return Said(metrics, tuple(verdicts), tuple(answers))


def report(p, q):
    names = p.metrics
    return Report({name: (p.metrics[name] + q.metrics[name]) / 2 for name in names}, {"p": p, "q": q})


def test_graders_that_agree(evaluation):
    made = evaluation("test", PROBLEMS, RESPONSES)
    found = compare(made, report(said([True, False]), said([True, False])), "0.13.0")
    assert {pair.name: (pair.ours, pair.lighteval) for pair in found.metrics} == {
        "avg@2": (0.5, 0.5),
        "pass@1": (0.5, 0.5),
        "pass@2": (1.0, 1.0),
    }
    assert found.agreeing == found.metrics
    assert (found.agreeing_questions, found.disagreements, found.unexplained) == (2, (), 0.0)
    assert found.same


def test_a_disagreement_is_listed_and_explains_the_difference(evaluation):
    made = evaluation("test", PROBLEMS, RESPONSES)
    found = compare(made, report(said([True, False]), said([True, True], ("4 | 4", "4 | 4"))), "0.13.0")
    average = found.metrics[0]
    assert (average.ours, average.lighteval, average.difference) == (0.5, 0.75, 0.25)
    assert found.agreeing_questions == 1
    assert [(pair.ours, pair.lighteval) for pair in found.agreeing] == [(0.5, 0.5), (0.5, 0.5), (1.0, 1.0)]
    (one,) = found.disagreements
    assert (one.question_id, one.sample, one.gold, one.ours, one.lighteval) == ("q", 1, "4", False, True)
    assert one.reason == module.OUTSIDE_A_BOX
    assert found.reasons == {module.OUTSIDE_A_BOX: 1}
    assert found.same
    assert found.as_dict()["disagreements"][0]["lighteval_answer"] == "4 | 4"


def test_a_number_that_no_verdict_explains_is_noticed(evaluation):
    made = evaluation("test", PROBLEMS, RESPONSES)
    honest = report(said([True, False]), said([True, False]))
    wrong = Report(honest.metrics | {"pass@k:k=2&n=2": 0.75}, honest.problems)
    found = compare(made, wrong, "0.13.0")
    assert found.unexplained == 0.25
    assert not found.same


@pytest.mark.parametrize(
    "problems",
    [{}, {"p": said([True, False])}, {"p": said([True, False]), "q": Said({}, (True,), ("4",))}],
)
def test_verdicts_on_other_samples_are_refused(evaluation, problems):
    made = evaluation("test", PROBLEMS, RESPONSES)
    with pytest.raises(DataError, match="lighteval judged"):
        compare(made, Report({}, problems), "0.13.0")


@pytest.mark.parametrize(
    ("status", "ours", "theirs", "reason"),
    [
        ("timeout", "9^9", "9", module.TIMEOUT),
        ("no_answer", None, "4 | 4", module.OUTSIDE_A_BOX),
        ("ok", "4", "", module.NO_ANSWER),
        ("ok", "x + 1", "x + 1 | x+1", module.EQUALITY),
        ("ok", "$x$", "x | x", module.EQUALITY),
        ("ok", "4", "5 | 5", module.OTHER_ANSWER),
    ],
)
def test_reasons(status, ours, theirs, reason):
    assert reason_of(status, ours, theirs) == reason
