"""What math-verify misreads as it is written: each pair is equal, or not, whatever the question was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefix_rft.grading.notation import distinct_cases, keep_last_variable, plain, variables
from prefix_rft.grading.signs import as_latex
from prefix_rft.grading.strings import same_number
from prefix_rft.grading.verify import judge

EQUAL = [
    ("10000", r"10\,000"), ("10000", r"10\ 000"), ("14916", "14 {, }916"), ("1 1/2", "3/2"), (r"\frac{3}{2}", "1 1/2"),
    (r"0.\overline{3}", r"\frac13"), (r"0.1\overline{6}", r"\frac16"), (r"0.\bar{3}", r"\frac13"),
    (r"0.\overline{142857}", r"\frac17"), (r"28\%", "0.28"), ("0.28", r"28\%"), (r"28\%", "28"), ("0.75", r"75\%"),
    ("36", "36 dollars"), ("36", "\u00a336"), ("5000000", "5 million"), ("5000000", r"5\text{ million dollars}"),
    ("A", "A."), ("12", r"\underline{12}"), ("12", "**12**"), (r"\emptyset", r"\varnothing"), ("1.22", "1,22"),
    ("1000,99", "1000.99"), ("0,111", "0.111"), (r"[0,\infty)", r"x\ge 0"), ("(0,1)", "0<x<1"), ("x>5", r"(5,\infty)"),
    (r"\sqrt{2}", "\u221a2"), (r"2\sqrt{13}", "2\u221a(13)"), (r"7\pi", "7\u03c0"), ("x^2", "x\u00b2"),
    ("a_1", "a\u2081"),
    ("0.5", "\u00bd"), ("3/2", "1\u00bd"), ("3", "\uff13"), ("3", "3\u200b"), ("-3", "\u22123"), ("-1", r"e^{i\pi}"),
    (r"1-\cos^2 t", r"\sin^2 t"), ("x + c", "c + x"), (r"\frac{1}{m} t", r"\frac{t}{m}"), ("2 m", "2m"), ("2", "2 m"),
    ("3", "3m"), ("2516_8", "2516_{8}"), ("2516_8", "2516"), ("2516_8", r"2516_{\text{eight}}"),
    ("R^2-r^2", "(R-r)(R+r)"),
    (r"\text{Navin}", "Navin"),
]  # fmt: skip
UNEQUAL = [
    (r"28\%", r"0.28\%"), (r"28\%", "0.29"), ("1,234", "1.234"), ("1.234", "1,234"), ("1.22", "1,23"),
    ("0.111", "0,112"),
    ("40_9", "40_8"), ("1112112_3", "1112122_3"), ("101_2", "1101_2"), (r"2\pi", r"2\pi t"), (r"2\pi t", r"2\pi"),
    ("2ab", "2"), ("2c", "2"), ("x + c", "x"), ("5", "5 million"), (r"5\text{ million}", "5"), ("R-r", "0"),
    ("R^2-r^2", "0"), ("5", "5 apples and 3 pears"), (r"0.\overline{3}", "0.3"), ("(0,1)", r"0\le x<1"),
    ("1 1/2", "11/2"),
    ("3", "\u00b3"), ("12", "12 or 13"), ("x^2", "x2"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal(gold: str, answer: str) -> None:
    assert judge(gold, answer)[0]


@pytest.mark.parametrize(("gold", "answer"), UNEQUAL)
def test_unequal(gold: str, answer: str) -> None:
    assert not judge(gold, answer)[0]


decimal = st.decimals(-(10**6), 10**6, places=3).map(str) | st.integers(-(10**8), 10**8).map(str)


@settings(max_examples=60, deadline=None)
@given(one=decimal, other=decimal, same=st.booleans())
def test_plain_numbers_are_compared_as_math_verify_does(one: str, other: str, same: bool) -> None:
    other = f"{one}.0" if same and "." not in one else one if same else other
    assert same_number(one, other) == judge(one, other)[0]


@given(st.text(st.characters(codec="ascii"), max_size=30))
def test_ascii_is_left_alone(text: str) -> None:
    assert as_latex(text) == text


def test_variables_are_letters_that_stand_for_something() -> None:
    assert variables(r"\frac{a}{b} + \sin x e^{i} \text{cm} word") == {"a", "b", "x"}


def test_capitals_are_renamed_where_both_cases_stand() -> None:
    assert distinct_cases("R-r", "0") == ("\\chi -r", "0")
    assert distinct_cases("3R^2", "3r^2") == ("3R^2", "3r^2")


def test_a_letter_at_the_end_is_a_variable_unless_it_counts_something() -> None:
    assert keep_last_variable("3 m", unit_allowed=True) == "3 m"
    assert keep_last_variable("3 m", unit_allowed=False) != "3 m"
    assert keep_last_variable(r"2\pi t", unit_allowed=True) != r"2\pi t"
    assert keep_last_variable("3 cm", unit_allowed=False) == "3 cm"


@given(st.text(max_size=40))
def test_rewriting_twice_changes_nothing_more(text: str) -> None:
    once = plain(text)
    assert plain(once) == once or len(once) < len(text), "a decoration inside a decoration"
