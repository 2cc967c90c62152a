from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.grading import Grader, make_grader
from prefix_rft.grading.scientific import number, written_out
from prefix_rft.settings.grading import GradingSettings

FORMS = (
    "{m}e{e}", "{m}E{e:+03d}", r"{m}\times10^{{{e}}}", r"{m} \times 10^{{{e}}}", r"{m} \cdot 10^{{{e}}}",
    r"{m}\cdot 10^{{ {e} }}", "{m}*10^{e}", "{m} * 10**{e}", r"${m} \times 10^{{{e}}}$", r"{m}\,\times\,10^{{{e}}}",
    r"{m}e{e}\text{{ m/s}}", r"{m} \cdot 10^{{{e}}}\ \mathrm{{kg}}", r"\({m}\times 10^{{{e}}}\)",
    "{m} \u00d7 10^{{{e}}}",
)  # fmt: skip

mantissa = st.decimals(-10, 10, places=4).filter(lambda value: value != 0)
exponent = st.integers(-40, 40)
form = st.sampled_from(FORMS)


@given(mantissa, exponent, form, form)
def test_a_number_is_itself_in_every_form(m: Decimal, e: int, one: str, other: str) -> None:
    exact = Fraction(m) * Fraction(10) ** e
    assert number(one.format(m=m, e=e)) == number(other.format(m=m, e=e)) == exact
    assert number(f"{exact.numerator}" if exact.denominator == 1 else f"{m:f}e{e}") == exact


@given(mantissa, mantissa, exponent, exponent, form, form)
def test_another_exponent_or_mantissa_is_another_number(
    m: Decimal, n: Decimal, e: int, f: int, one: str, other: str
) -> None:
    same = Fraction(m) * Fraction(10) ** e == Fraction(n) * Fraction(10) ** f
    assert (number(one.format(m=m, e=e)) == number(other.format(m=n, e=f))) == same


@given(mantissa, st.integers(-12, 12))
def test_a_number_is_equal_to_its_decimal_expansion(m: Decimal, e: int) -> None:
    assert number(f"{m}e{e}") == number(f"{m.scaleb(e):f}")


@pytest.mark.parametrize(
    "answer",
    [
        "3e",
        "e8",
        "2e^3",
        "x",
        "3e8x",
        "3e8 + 1",
        "3e8,4e8",
        "1e401",
        "1e99999999999",
        "3e8\\%",
        "",
        "9" * 500,
    ],
)
def test_what_is_not_one_number_has_no_value(answer: str) -> None:
    assert number(answer) is None


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        ("x = 3e8", "x = 300000000"),
        ("3e8, 4e-2", "300000000, \\frac{1}{25}"),
        (r"2.5\times 10^{3} \hbar", r"2500 \hbar"),
        (r"e^{-2 t}", r"e^{-2 t}"),
        ("2e^{3}", "2e^{3}"),
        ("1e999999", "1e999999"),
        ("12e3.5", "12e3.5"),
        ("a3e8", "a3e8"),
        (r"3e8\text{ m}", r"300000000\text{ m}"),
    ],
)
def test_numbers_inside_a_formula_are_written_out(answer: str, written: str) -> None:
    assert written_out(answer) == written


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with make_grader(GradingSettings(extract=("whole",), scientific=True, timeout_seconds=30)) as made:
        yield made


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("3e8", r"3\times10^8", True),
        ("3e8", "300000000", True),
        ("3e8", r"3\times10^8\text{ m/s}", True),
        ("3e8", r"3\times10^9", False),
        ("3e8", r"3\times10^{-8}", False),
        ("1e-8", "2e-8", False),
        ("1e-18", "0.000000000000000001", True),
        ("1e-18", "0.000000000000000002", False),
        ("6.02e23", r"6.022\times 10^{23}", False),
        ("6.5e-2", r"\frac{13}{200}", True),
        ("6.5e-2", r"6.5\%", True),
        ("x=2e3", "x=2000", True),
        (r"\frac12", "0.5", True),
        ("1e400000", "1e400001", False),
        ("e^{-t}", "e^{-t}", True),
    ],
)
def test_the_grader_reads_scientific_notation(grader: Grader, gold: str, answer: str, equal: bool) -> None:
    assert [grade.correct for grade in grader.grade([(gold, answer)])] == [equal]


def test_without_the_setting_it_is_not_read() -> None:
    with make_grader(GradingSettings(extract=("whole",))) as plain:
        assert not plain.grade([("3e8", r"3\times10^8")])[0].correct
