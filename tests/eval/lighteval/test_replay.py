"""The same samples through a real lighteval: the same numbers, and every disagreement of graders with its reason."""

from __future__ import annotations

import tempfile

import pytest

from eval.benchmarks.load import load
from eval.benchmarks.registry import BENCHMARKS
from eval.benchmarks.schema import Problem
from eval.lighteval.compare import EQUALITY, NO_ANSWER, OTHER_ANSWER, OUTSIDE_A_BOX, TOLERANCE
from eval.lighteval.environment import LightevalError
from eval.lighteval.run import replay

pytestmark = pytest.mark.lighteval

PATTERNS = [(8, 0), (5, 3), (1, 7), (0, 8), (4, 4), (7, 1)]
"""Right and wrong samples of a problem, in turn."""
DIFFICULT = {
    "no box": ("12", "Altogether that makes 12.", False, True, OUTSIDE_A_BOX),
    "two answers": ("12", "So \\boxed{12}. The final answer is 13", True, False, OTHER_ANSWER),
    "scientific": ("3e8", "\\boxed{3 \\times 10^8 + w}", False, False, None),
    "set": ("(1,2),(3,4)", "\\boxed{w_{17}+$(1,2),(3,4)$}", False, True, EQUALITY),
    "no answer": ("12", "", False, False, None),
    "word": ("east", "\\boxed{east}", True, True, None),
}
"""Gold answer, response, our verdict, lighteval's, and the reason where they differ."""


def sums():
    """48 made-up sums, 8 responses each."""
    problems = [Problem(f"sum-{i}", f"What is {i} + {2 * i}?", str(3 * i)) for i in range(1, 49)]
    responses = {}
    for number, problem in enumerate(problems):
        right, wrong = PATTERNS[number % len(PATTERNS)]
        fine = [f"<think>{i} tries</think>Hence \\boxed{{{problem.answer}}}." for i in range(right)]
        responses[problem.id] = fine + [
            f"Hence \\boxed{{{int(problem.answer) + i + 1}}}." for i in range(wrong)
        ]
    return problems, responses


def from_file(name, folder, most):
    """Real problems, each right and wrong in turn; the wrong answers keep the form of the right ones."""
    benchmark = BENCHMARKS[name]
    problems = load(benchmark, folder).problems[:: -(-benchmark.problems // most)]
    responses = {}
    for number, problem in enumerate(problems):
        other = problems[(number + 1) % len(problems)].answer
        lines = [f"Thus \\boxed{{{problem.answer}}}.", f"Thus \\boxed{{{other}}}."]
        responses[problem.id] = [lines[(number + k) % 2] for k in range(4)]
    return problems, responses


@pytest.fixture(scope="module")
def made_up(lighteval, evaluations):
    """One start of lighteval for the sums and the difficult ones."""
    difficult = [Problem(name, f"{name}?", case[0]) for name, case in DIFFICULT.items()]
    said = {name: [case[1]] * 8 for name, case in DIFFICULT.items()}
    asked = [evaluations("amc", *sums()), evaluations("own", difficult, said)]
    return dict(zip(("sums", "difficult"), replay(asked, lighteval), strict=True))


@pytest.fixture(scope="module")
def real(lighteval, evaluations, real_folder):
    names = ("aime24", "aime25", "amc", "math500", "minerva", "olympiad")
    asked = [evaluations(name, *from_file(name, real_folder, 30)) for name in names]
    return dict(zip(names, replay(asked, lighteval), strict=True))


def test_384_samples_give_the_same_numbers(made_up):
    found = made_up["sums"]
    assert (found.questions, found.samples, found.disagreements) == (48, 8, ())
    by_name = {pair.name: pair.ours for pair in found.metrics}
    # By hand: (8 + 5 + 1 + 0 + 4 + 7) / 48, and a pair misses with 0, 3/28, 21/28, 1, 6/28, 0.
    assert by_name["avg@8"] == pytest.approx(25 / 48, abs=1e-12)
    assert by_name["pass@2"] == pytest.approx(1 - (0 + 3 + 21 + 28 + 6 + 0) / 28 / 6, abs=1e-12)
    assert by_name.keys() == {"avg@8", "pass@1", "pass@2", "pass@4", "pass@8"}
    assert max(abs(pair.difference) for pair in found.metrics) <= TOLERANCE


@pytest.mark.parametrize("name", DIFFICULT)
def test_each_disagreement_is_listed_with_its_reason(made_up, name):
    _, _, ours, theirs, reason = DIFFICULT[name]
    found = [item for item in made_up["difficult"].disagreements if item.question_id == name]
    assert [(item.ours, item.lighteval, item.reason) for item in found] == (
        [] if reason is None else [(ours, theirs, reason)] * 8
    )


def test_disagreements_are_the_whole_difference(made_up):
    found = made_up["difficult"]
    assert found.same
    assert found.unexplained <= TOLERANCE
    assert found.agreeing_questions == sum(case[4] is None for case in DIFFICULT.values())
    assert all(abs(pair.difference) <= TOLERANCE for pair in found.agreeing)
    differing = sum(case[3] - case[2] for case in DIFFICULT.values()) / len(DIFFICULT)
    assert found.metrics[0].difference == pytest.approx(differing, abs=1e-12)


def test_real_problems_give_the_same_numbers_where_graders_agree(real):
    for name, found in real.items():
        print(f"{name}: {found.questions} x {found.samples}, {len(found.disagreements)} disagreements")
        for item in found.disagreements:
            print(
                f"  {item.question_id}/{item.sample}: ours {item.ours}, lighteval {item.lighteval}: {item.reason}"
            )
        assert found.same, name
        assert found.agreeing_questions >= 0.9 * found.questions, name
        assert {item.reason for item in found.disagreements} <= {EQUALITY, OTHER_ANSWER, NO_ANSWER}


def test_integers_leave_nothing_to_disagree_on(real):
    for name in ("aime24", "aime25", "amc"):
        assert real[name].disagreements == ()
        assert [pair.difference for pair in real[name].metrics] == pytest.approx([0.0] * 4, abs=TOLERANCE)


def test_what_lighteval_cannot_do_is_shown_from_its_log(lighteval, evaluations, tmp_path, monkeypatch):
    """A gold letter that no option has."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    options = "Which?\nA. this\nB. that"
    asked = evaluations("own", [Problem("q", options, "Z")], {"q": ["\\boxed{A}"]})
    with pytest.raises(LightevalError, match=r"(?s)lighteval\.log ends in.*problem 'q' has the options AB"):
        replay([asked], lighteval)
