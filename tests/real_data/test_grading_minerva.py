"""Minerva's gold answers in scientific notation: the protocol's score and the normalised one."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest

from prefix_rft.grading import make_grader
from prefix_rft.grading.scientific import number
from prefix_rft.settings.grading import GradingSettings

E_NOTATION = re.compile(r"(?P<mantissa>-?[0-9.]+)[eE](?P<exponent>[-+]?[0-9]+)")


@pytest.fixture(scope="module")
def golds(shared_data: Path) -> list[str]:
    lines = (shared_data / "eval" / "minerva_math.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line)["answer"] for line in lines]
    assert len(answers) == 272
    return [answer for answer in answers if E_NOTATION.fullmatch(answer)]


def test_58_gold_answers_are_in_e_notation_and_all_are_read(golds: list[str]) -> None:
    assert len(golds) == 58
    assert [number(gold) for gold in golds] == [Fraction(gold) for gold in golds]


def test_the_normalised_score_finds_what_the_protocols_score_misses(golds: list[str]) -> None:
    """A response writes each number as LaTeX, in e-notation with a unit, and with another exponent."""
    parts = [E_NOTATION.fullmatch(gold) for gold in golds]
    right = [rf"\boxed{{{p['mantissa']} \times 10^{{{int(p['exponent'])}}}}}" for p in parts if p]
    with_unit = [rf"\boxed{{{gold}\text{{ m/s}}}}" for gold in golds]
    wrong = [rf"\boxed{{{p['mantissa']} \times 10^{{{int(p['exponent']) + 1}}}}}" for p in parts if p]
    for scientific, found in ((False, 0), (True, len(golds))):
        with make_grader(GradingSettings(scientific=scientific, workers=2, timeout_seconds=30)) as grader:
            grades = grader.grade(list(zip(golds * 3, right + with_unit + wrong, strict=True)))
        correct = [sum(grade.correct for grade in grades[start : start + 58]) for start in (0, 58, 116)]
        assert correct[0] == found
        assert correct[2] == 0
        if scientific:
            assert correct[1] == len(golds)


@pytest.mark.slow
def test_what_holds_no_scientific_notation_keeps_its_verdict(shared_data: Path) -> None:
    lines = (shared_data / "eval" / "minerva_math.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line)["answer"] for line in lines]
    plain = [gold for gold in answers if not E_NOTATION.search(gold)][::8]
    pairs = [(gold, rf"\boxed{{{other}}}") for gold, other in zip(plain, [*plain[1:], plain[0]], strict=True)]
    pairs += [(gold, rf"\boxed{{\left( {gold} \right)}}") for gold in plain]
    verdicts = []
    for scientific in (False, True):
        with make_grader(GradingSettings(scientific=scientific, workers=2, timeout_seconds=60)) as grader:
            verdicts.append([grade.correct for grade in grader.grade(pairs)])
    assert verdicts[0] == verdicts[1]
